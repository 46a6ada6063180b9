package offheap.flink;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import sun.misc.Unsafe;

/** Pages that the region does not have: they come from Unsafe, as without the agent, and count. */
final class Fallbacks {
    private static final Set<Long> OUT = ConcurrentHashMap.newKeySet();
    private static final LongAdder ALLOCATED = new LongAdder();
    private static final LongAdder RETURNED = new LongAdder();
    private static volatile boolean isUsed;

    private Fallbacks() {}

    static long allocate(Unsafe unsafe) {
        if (!isUsed) {
            first();
        }
        long page = unsafe.allocateMemory(Pages.PAGE_BYTES);
        OUT.add(page);
        ALLOCATED.increment();
        return page;
    }

    /** Counts a page from here that is about to go back to Unsafe. */
    static void note(Unsafe unsafe, long address) {
        if (isUsed && OUT.remove(address)) {
            RETURNED.increment();
            if (Pages.wipes()) {
                unsafe.setMemory(address, Pages.PAGE_BYTES, (byte) 0);
            }
        }
    }

    static long allocated() {
        return ALLOCATED.sum();
    }

    static long returned() {
        return RETURNED.sum();
    }

    private static synchronized void first() {
        if (isUsed) {
            return;
        }
        isUsed = true;
        if (Pages.regionBytes() > 0) {
            Log.warn(
                    "the region has no page left: more pages come from Unsafe, and are counted; "
                            + Reports.line() + "; " + Holders.describe());
        }
    }
}
