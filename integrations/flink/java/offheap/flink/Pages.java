package offheap.flink;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.reflect.Field;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import sun.misc.Unsafe;

/**
 * The pages of the one region of this process. It is opened when this class is initialized, which
 * is when Flink makes its first memory manager or asks for its first memory.
 *
 * <p>Free pages lie in the library or on {@link Shelf shelves}. Nobody is refused for what lies on
 * a shelf: when the library has none left, all shelves are emptied into it, and while that goes on
 * no thread takes more than the one page that it asked for.
 */
final class Pages {
    static final Unsafe UNSAFE = unsafe();

    /** The bytes of a page; memory of other sizes is not ours. */
    static final long PAGE_BYTES;

    private static final long BASE;
    /** 0 if there is no region. */
    private static final long REGION_BYTES;

    private static final int FRAME_SHIFT;
    private static final long FRAME_MASK;
    private static final boolean COLOUR;
    private static final boolean WIPE;
    /** Per frame of the region, whether a page that begins in it is out. */
    private static final int[] OUT;

    private static final VarHandle OUT_AT = MethodHandles.arrayElementVarHandle(int[].class);
    private static final Shelf[] SHELVES;
    private static final int SHELF_MASK;

    /** The peak is exact to so many pages a shelf. */
    private static final int PEAK_PAGES = 16;

    private static final int COLOUR_STEP_BYTES = 64;

    private static final AtomicLong PEAK_IN_USE = new AtomicLong();
    private static final LongAdder FOREIGN = new LongAdder();
    private static final Object SCARCE_LOCK = new Object();
    /** How many threads look for the last pages: others take no more than they need meanwhile. */
    private static volatile int scarce;

    static {
        Settings settings = Settings.ofProcess();
        long pageBytes = Settings.PAGE_BYTES_DEFAULT;
        long base = 0;
        boolean wipe = false;
        boolean colour = false;
        int atHand = Shelf.BATCH;
        try {
            for (String name : settings.unknown()) {
                Log.warn("there is no property " + name);
            }
            pageBytes = settings.pageBytes(Holders.pageBytesSeen());
            wipe = settings.wipe();
            colour = settings.colour();
            atHand = settings.atHand();
            base = open(settings, pageBytes);
        } catch (Throwable e) {
            Log.warn("no region: " + describe(e) + "; managed memory comes from Unsafe, as without"
                    + " the agent");
        }
        PAGE_BYTES = pageBytes;
        BASE = base;
        REGION_BYTES = base == 0 ? 0 : Native.stat(Native.REGION_BYTES);
        long frameBytes = base == 0 ? pageBytes : Native.stat(Native.FRAME_BYTES);
        FRAME_SHIFT = Long.numberOfTrailingZeros(frameBytes);
        FRAME_MASK = frameBytes - 1;
        COLOUR = colour;
        WIPE = wipe;
        OUT = new int[(int) (REGION_BYTES >>> FRAME_SHIFT)];
        int cores = Runtime.getRuntime().availableProcessors();
        SHELVES = new Shelf[base == 0 ? 0 : Math.min(Integer.highestOneBit(cores) * 4, 64)];
        for (int i = 0; i < SHELVES.length; i++) {
            SHELVES[i] = new Shelf(UNSAFE, atHand);
        }
        SHELF_MASK = SHELVES.length - 1;
        if (base != 0) {
            Log.info(String.format(
                    "a region of %d bytes at 0x%x serves pages of %d bytes",
                    REGION_BYTES, BASE, PAGE_BYTES));
        }
        Reports.start(settings);
    }

    private Pages() {}

    /** A page that nobody else has, or 0 if there is none. */
    static long take() {
        if (REGION_BYTES == 0) {
            return 0;
        }
        long page;
        Shelf shelf = lockAny();
        try {
            page = shelf.pop(scarce == 0 ? Shelf.BATCH : 1);
        } finally {
            shelf.unlock();
        }
        if (page == 0) {
            page = takeLast();
            if (page == 0) {
                return 0;
            }
        }
        // Nobody else has the page, and the thread that it is handed to gets it after this.
        OUT[frameOf(page)] = 1;
        return page;
    }

    /** Whether the address lies in the region. */
    static boolean contains(long address) {
        long offset = address - BASE;
        return offset >= 0 && offset < REGION_BYTES;
    }

    /** Takes back the page at an address of the region; refuses it if no page there is out. */
    static void giveBack(long page) {
        int frame = frameOf(page);
        if (((page - BASE) & FRAME_MASK) != colourOf(frame)
                || !OUT_AT.compareAndSet(OUT, frame, 1, 0)) {
            refuse(page);
            return;
        }
        if (WIPE) {
            UNSAFE.setMemory(page, PAGE_BYTES, (byte) 0);
        }
        Shelf shelf = lockAny();
        boolean isPeakDue;
        try {
            shelf.push(page);
            isPeakDue = shelf.isPeakDue(PEAK_PAGES);
            if (scarce != 0) {
                shelf.flushAll();
            }
        } finally {
            shelf.unlock();
        }
        if (isPeakDue) {
            // The page that just came back was in use.
            notePeak(inUse() + 1);
        }
    }

    private static int frameOf(long page) {
        return (int) ((page - BASE) >>> FRAME_SHIFT);
    }

    private static long colourOf(int frame) {
        return COLOUR ? ((long) frame * COLOUR_STEP_BYTES) & FRAME_MASK : 0;
    }

    /** The shelf of this thread, or one that is free if that is in use just now. */
    private static Shelf lockAny() {
        int first = (int) Thread.currentThread().getId();
        while (true) {
            for (int i = 0; i < SHELVES.length; i++) {
                Shelf shelf = SHELVES[(first + i) & SHELF_MASK];
                if (shelf.tryLock()) {
                    return shelf;
                }
            }
            Thread.yield();
        }
    }

    /** A page after all shelves were emptied, or 0 if even then there is none. */
    private static long takeLast() {
        synchronized (SCARCE_LOCK) {
            scarce = 1;
            try {
                flushShelves();
                Shelf shelf = lockAny();
                try {
                    return shelf.pop(1);
                } finally {
                    shelf.unlock();
                }
            } finally {
                scarce = 0;
            }
        }
    }

    /** Gives the pages of all shelves back to the library. */
    static void flushShelves() {
        for (Shelf shelf : SHELVES) {
            shelf.lock();
            try {
                shelf.flushAll();
            } finally {
                shelf.unlock();
            }
        }
    }

    private static void refuse(long address) {
        FOREIGN.increment();
        if (FOREIGN.sum() == 1) {
            Log.warn(
                    String.format(
                            "no page at 0x%x is out: it was freed twice, or is of somebody else;"
                                    + " refused here and from now on, and counted",
                            address),
                    new Throwable("freed by " + Thread.currentThread().getName()));
        }
    }

    private static void notePeak(long inUse) {
        if (inUse > PEAK_IN_USE.get()) {
            PEAK_IN_USE.accumulateAndGet(inUse, Math::max);
        }
    }

    private static long open(Settings settings, long pageBytes) throws Exception {
        long bytes = settings.regionBytes();
        if (bytes < pageBytes) {
            throw new IllegalArgumentException(
                    "neither offheap.bytes nor the command line says how much managed memory there"
                            + " is, or it is less than a page of " + pageBytes + " bytes");
        }
        Native.load(settings.library());
        return Native.open(UNSAFE, settings, bytes / pageBytes, pageBytes);
    }

    /** The reason why there is no region, without a stack trace. */
    private static String describe(Throwable e) {
        return e.getMessage() == null ? e.toString() : e.getMessage();
    }

    static long served() {
        long served = 0;
        for (Shelf shelf : SHELVES) {
            served += shelf.served();
        }
        return served;
    }

    static long returned() {
        long returned = 0;
        for (Shelf shelf : SHELVES) {
            returned += shelf.returned();
        }
        return returned;
    }

    /** The pages on shelves. */
    static long atHand() {
        long pages = 0;
        for (Shelf shelf : SHELVES) {
            pages += shelf.size();
        }
        return pages;
    }

    static long foreign() {
        return FOREIGN.sum();
    }

    /** The pages that are out. */
    static long inUse() {
        // Returned first: so it is never less than what is really out, while pages come and go.
        long returned = returned();
        return served() - returned;
    }

    /** The most pages that were out at once, to within a few pages a shelf. */
    static long peakInUse() {
        notePeak(inUse());
        return PEAK_IN_USE.get();
    }

    static boolean wipes() {
        return WIPE;
    }

    static long regionBytes() {
        return REGION_BYTES;
    }

    private static Unsafe unsafe() {
        try {
            Field field = Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            return (Unsafe) field.get(null);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }
}
