package offheap.flink;

import sun.misc.Unsafe;

/** What stands in place of the two calls of {@code org.apache.flink.core.memory.MemoryUtils}. */
public final class Backend {
    private Backend() {}

    /** Instead of {@link Unsafe#allocateMemory}: a page of the region, if a page is asked for. */
    public static long allocate(Unsafe unsafe, long bytes) {
        if (bytes != Pages.PAGE_BYTES) {
            return unsafe.allocateMemory(bytes);
        }
        long page = Pages.take();
        return page != 0 ? page : Fallbacks.allocate(unsafe);
    }

    /** Instead of {@link Unsafe#freeMemory}. */
    public static void free(Unsafe unsafe, long address) {
        if (Pages.contains(address)) {
            Pages.giveBack(address);
        } else {
            Fallbacks.note(unsafe, address);
            unsafe.freeMemory(address);
        }
    }
}
