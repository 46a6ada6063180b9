package offheap.flink;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import sun.misc.Unsafe;

/** Keeps a shelf from sharing cache lines with what lies before it. */
abstract class Padded {
    long a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15;
}

/**
 * Free pages at hand, for a few threads at a time: the one that holds the lock pops and pushes without
 * a call into the library. Where it runs empty or full, a batch comes or goes with one call.
 *
 * <p>All methods but {@link #tryLock}, {@link #lock} and the unsynchronized reads are for the
 * thread that holds the lock.
 */
final class Shelf extends Padded {
    /** The pages that cross into the library at once. */
    static final int BATCH = 64;

    private static final VarHandle LOCK;

    static {
        try {
            LOCK = MethodHandles.lookup().findVarHandle(Shelf.class, "lock", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final Unsafe unsafe;
    /** Free pages, the one that was used last on top. */
    private final long[] pages;
    /** Where a batch lies while it crosses. */
    private final long batch;
    private int size;

    @SuppressWarnings("unused") // through LOCK
    private int lock;

    private long served;
    private long returned;
    /** What {@link #served} was when the peak was last looked at. */
    private long servedAtLook;

    Shelf(Unsafe unsafe, int capacity) {
        this.unsafe = unsafe;
        pages = new long[capacity];
        batch = unsafe.allocateMemory((long) BATCH * Long.BYTES);
    }

    boolean tryLock() {
        return (int) LOCK.getOpaque(this) == 0 && LOCK.weakCompareAndSetAcquire(this, 0, 1);
    }

    void lock() {
        while (!tryLock()) {
            Thread.yield();
        }
    }

    void unlock() {
        LOCK.setRelease(this, 0);
    }

    /** A free page, from the library if need be; 0 if there is none. */
    long pop(int batchAtMost) {
        if (size == 0 && !refill(batchAtMost)) {
            return 0;
        }
        served++;
        return pages[--size];
    }

    void push(long page) {
        if (size == pages.length) {
            flush(BATCH);
        }
        pages[size++] = page;
        returned++;
    }

    private boolean refill(int atMost) {
        int count = Native.allocate(batch, Math.min(Math.min(atMost, BATCH), pages.length));
        // The library hands out ascending addresses: the first one is to be used first.
        for (int i = 0; i < count; i++) {
            pages[count - 1 - i] = unsafe.getLong(batch + (long) i * Long.BYTES);
        }
        size = count;
        return count > 0;
    }

    /** Gives the {@code count} pages back that were not used for the longest time. */
    private void flush(int count) {
        for (int i = 0; i < count; i++) {
            unsafe.putLong(batch + (long) i * Long.BYTES, pages[i]);
        }
        size -= count;
        System.arraycopy(pages, count, pages, 0, size);
        int refused = Native.release(batch, count);
        if (refused != 0) {
            // To throw would leave Flink's budget short for good, and help nobody.
            Log.warn("the library does not know " + refused + " of " + count + " pages at hand");
        }
    }

    /** Gives all pages back. */
    void flushAll() {
        while (size > 0) {
            flush(Math.min(size, BATCH));
        }
    }

    /** Whether enough pages were served since the last time to look at the peak again. */
    boolean isPeakDue(int atLeast) {
        if (served - servedAtLook < atLeast) {
            return false;
        }
        servedAtLook = served;
        return true;
    }

    /** Without the lock it may be a little behind. */
    long served() {
        return served;
    }

    /** Without the lock it may be a little behind. */
    long returned() {
        return returned;
    }

    /** Without the lock it may be a little behind. */
    int size() {
        return size;
    }
}
