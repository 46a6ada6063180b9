package offheap.flink;

import java.util.concurrent.atomic.LongAdder;
import org.apache.flink.core.memory.MemorySegment;

/**
 * Counts of its own, taken where Flink's memory manager gets a page from its factory: so what the
 * region says that it served can be held against what Flink says that it got.
 */
public final class Verify {
    private static final LongAdder ISSUED = new LongAdder();
    private static final LongAdder IN_REGION = new LongAdder();
    private static final LongAdder ALIGNED = new LongAdder();

    private Verify() {}

    /** A page has been made: the agent puts this after the call of the factory. */
    public static void issued(MemorySegment segment) {
        ISSUED.increment();
        if (Holders.isOfRegion(segment)) {
            IN_REGION.increment();
        }
        if (segment.getAddress() % 4096 == 0) {
            ALIGNED.increment();
        }
    }

    static long issued() {
        return ISSUED.sum();
    }

    static long inRegion() {
        return IN_REGION.sum();
    }

    static long aligned() {
        return ALIGNED.sum();
    }
}
