package org.apache.flink.core.memory;

import sun.misc.Unsafe;

/** A class that has one call more than the agent knows of. */
final class MemoryUtils {
    private MemoryUtils() {}

    static long allocateUnsafe(Unsafe unsafe, long bytes) {
        return bytes == 0 ? unsafe.allocateMemory(1) : unsafe.allocateMemory(bytes);
    }

    static void releaseUnsafe(Unsafe unsafe, long address) {
        unsafe.freeMemory(address);
    }
}
