package offheap.flink;

import java.lang.ref.Cleaner;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.core.memory.MemorySegmentFactory;
import org.apache.flink.core.memory.MemoryUtils;

/**
 * Buffers of the network and of the batch shuffle on pages of the region. Flink never frees them: a
 * page comes back when its {@link ByteBuffer} and all that were made of it are collected.
 */
public final class NetworkBuffers {
    private static final Cleaner CLEANER = Cleaner.create();
    private static final Method WRAP = wrap();

    private NetworkBuffers() {}

    /** Instead of the method of {@link MemorySegmentFactory}. */
    public static MemorySegment allocate(int bytes, Object owner) {
        Holders.seePageBytes(bytes);
        ByteBuffer buffer = owner == null && bytes == Pages.PAGE_BYTES ? page(bytes) : null;
        return buffer == null
                ? MemorySegmentFactory.allocateUnpooledOffHeapMemory(bytes, owner)
                : MemorySegmentFactory.wrapOffHeapMemory(buffer);
    }

    /** Instead of the method of {@link MemorySegmentFactory}. */
    public static MemorySegment allocate(int bytes) {
        return allocate(bytes, null);
    }

    private static ByteBuffer page(int bytes) {
        long page = WRAP == null ? 0 : Pages.take();
        if (page == 0) {
            return null;
        }
        try {
            ByteBuffer buffer = (ByteBuffer) WRAP.invoke(null, page, bytes);
            CLEANER.register(buffer, () -> Pages.giveBack(page));
            return buffer;
        } catch (ReflectiveOperationException e) {
            Pages.giveBack(page);
            return null;
        }
    }

    /** Flink's own way to make a buffer of an address; null if it is not there. */
    private static Method wrap() {
        try {
            Method method =
                    MemoryUtils.class.getDeclaredMethod(
                            "wrapUnsafeMemoryWithByteBuffer", long.class, int.class);
            method.setAccessible(true);
            return method;
        } catch (ReflectiveOperationException | RuntimeException e) {
            Log.warn("network buffers stay direct memory: " + e);
            return null;
        }
    }
}
