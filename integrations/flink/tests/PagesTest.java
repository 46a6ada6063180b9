import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicReference;
import offheap.flink.Backend;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.runtime.memory.MemoryManager;
import sun.misc.Unsafe;

/**
 * Flink's memory manager on the region, without a cluster. The first argument names the test; each
 * runs in a process of its own.
 */
final class PagesTest {
    private static final int PAGE_BYTES = 32 << 10;
    private static final int PAGES = 512;
    private static final Unsafe UNSAFE = unsafe();

    private PagesTest() {}

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "strange":
                strangeAddressesAreRefused();
                break;
            case "exact":
                everyPageIsHadWhoeverFreedItWhere();
                break;
            case "churn":
                nobodyIsRefusedWhileThreadsShareTheRegion(PAGES);
                break;
            case "churn-few":
                nobodyIsRefusedWhileThreadsShareTheRegion(PAGES / 16);
                break;
            case "wipe":
                freedPagesAreZero();
                break;
            case "colour":
                pagesBeginAtDifferentColours();
                break;
            case "idle":
                idleMemoryIsGivenBack();
                break;
            case "fallback":
                withoutARegionPagesComeFromUnsafe();
                break;
            case "other-page-size":
                otherPageSizesPassThrough();
                break;
            default:
                throw new IllegalArgumentException(arguments[0]);
        }
        System.out.println(arguments[0] + ": ok");
    }

    private static void strangeAddressesAreRefused() throws Exception {
        MemoryManager manager = manager(PAGES);
        List<MemorySegment> segments = manager.allocatePages("test", 10);
        long first = segments.get(0).getAddress();
        Set<Long> out = new HashSet<>();
        segments.forEach(segment -> out.add(segment.getAddress()));
        long never = first;
        while (out.contains(never)) {
            never += PAGE_BYTES;
        }
        long[] strange = {first + 1, first + 64, first + 4096, first + PAGE_BYTES - 1, never};
        for (long address : strange) {
            Backend.free(UNSAFE, address);
        }
        Check.equal("refused", (long) strange.length, Cluster.number("Foreign"));
        manager.release(segments);
        // Freed twice, behind Flink's back.
        for (int i = 0; i < 100; i++) {
            Backend.free(UNSAFE, first);
        }
        Check.equal("refused", 100L + strange.length, Cluster.number("Foreign"));
        Check.equal("returned", 10L, Cluster.number("Returned"));
        // Nobody gets a page twice.
        expectDistinct(manager.allocatePages("test", PAGES));
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
        // What is outside is of the process allocator, as it was.
        long outside = Backend.allocate(UNSAFE, 100);
        UNSAFE.putLong(outside, 7);
        Backend.free(UNSAFE, outside);
        Check.equal("refused", 100L + strange.length, Cluster.number("Foreign"));
        Check.equal("served", 10L + PAGES, Cluster.number("Served"));
    }

    private static void everyPageIsHadWhoeverFreedItWhere() throws Exception {
        MemoryManager manager = manager(PAGES);
        for (int round = 0; round < 20; round++) {
            // Another thread each time: the pages are at hand for the one before.
            inThread(() -> {
                List<MemorySegment> segments = manager.allocatePages("test", PAGES);
                expectDistinct(segments);
                manager.release(segments);
            });
        }
        Check.equal("served", 20L * PAGES, Cluster.number("Served"));
        Check.equal("returned", 20L * PAGES, Cluster.number("Returned"));
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
        Check.equal("peak", (long) PAGES * PAGE_BYTES, Cluster.number("PeakBytes"));
        Check.that("pages are at hand", Cluster.number("AtHandBytes") > 0);
    }

    private static void nobodyIsRefusedWhileThreadsShareTheRegion(int pages)
            throws Exception {
        int threads = 32;
        // Each has a manager of its share, so together they can have each page, and no more. There
        // are more of them than shelves.
        CyclicBarrier start = new CyclicBarrier(threads);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        List<Thread> running = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            long seed = i;
            running.add(new Thread(() -> {
                try {
                    start.await();
                    churn(manager(pages / threads), new Random(seed), seed);
                } catch (Throwable e) {
                    failure.set(e);
                }
            }));
        }
        running.forEach(Thread::start);
        for (Thread thread : running) {
            thread.join();
        }
        if (failure.get() != null) {
            throw new AssertionError(failure.get());
        }
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
        Check.equal("foreign", 0L, Cluster.number("Foreign"));
        Check.equal("returned", Cluster.number("Served"), Cluster.number("Returned"));
    }

    private static void churn(MemoryManager manager, Random random, long mark) throws Exception {
        List<MemorySegment> held = new ArrayList<>();
        int all = (int) (manager.getMemorySize() / PAGE_BYTES);
        for (int step = 0; step < 20_000; step++) {
            // Each takes all that there is for it, and gives a little back, so that hardly a
            // page is free at any time.
            for (MemorySegment segment : manager.allocatePages("test", all - held.size())) {
                segment.putLong(0, mark);
                segment.putLong(PAGE_BYTES - 8, mark);
                held.add(segment);
            }
            for (int i = Math.min(random.nextInt(3), all - 1); i >= 0; i--) {
                MemorySegment segment = held.remove(random.nextInt(held.size()));
                Check.equal("the mark at the start", mark, segment.getLong(0));
                Check.equal("the mark at the end", mark, segment.getLong(PAGE_BYTES - 8));
                manager.release(segment);
            }
        }
        manager.release(held);
        Check.that("the manager is empty", manager.verifyEmpty());
    }

    private static void freedPagesAreZero() throws Exception {
        MemoryManager manager = manager(PAGES);
        for (int round = 0; round < 3; round++) {
            List<MemorySegment> segments = manager.allocatePages("test", PAGES);
            for (MemorySegment segment : segments) {
                for (int at = 0; at < PAGE_BYTES; at += 8) {
                    Check.equal("what the last holder left", 0L, segment.getLong(at));
                    segment.putLong(at, -1);
                }
            }
            manager.release(segments);
        }
    }

    private static void pagesBeginAtDifferentColours() throws Exception {
        MemoryManager manager = manager(PAGES);
        List<MemorySegment> segments = manager.allocatePages("test", PAGES);
        Set<Long> colours = new HashSet<>();
        for (MemorySegment segment : segments) {
            Check.equal("an offset of whole cache lines", 0L, segment.getAddress() % 64);
            colours.add(segment.getAddress() % 4096);
            for (int at = 0; at < PAGE_BYTES; at += 8) {
                segment.putLong(at, segment.getAddress());
            }
        }
        Check.equal("colours", 64, colours.size());
        for (MemorySegment segment : segments) {
            for (int at = 0; at < PAGE_BYTES; at += 8) {
                Check.equal("what was written", segment.getAddress(), segment.getLong(at));
            }
        }
        expectDistinct(segments);
        Backend.free(UNSAFE, segments.get(1).getAddress() & -4096);
        Check.equal("refused", 1L, Cluster.number("Foreign"));
        manager.release(segments);
        Check.equal("returned", (long) PAGES, Cluster.number("Returned"));
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
    }

    private static void idleMemoryIsGivenBack() throws Exception {
        MemoryManager manager = manager(PAGES);
        List<MemorySegment> segments = manager.allocatePages("test", PAGES);
        segments.forEach(segment -> segment.put(0, (byte) 1));
        long all = (long) PAGES * PAGE_BYTES;
        Check.that("pages in use are resident", Cluster.number("ResidentBytes") > all / 8);
        manager.release(segments);
        long end = System.nanoTime() + 60_000_000_000L;
        while (Cluster.number("ResidentBytes") > all / 2 && System.nanoTime() < end) {
            Thread.sleep(10);
        }
        Check.that("idle memory is not resident", Cluster.number("ResidentBytes") <= all / 2);
        Check.that("because it was given back", Cluster.number("GivenBackBytes") > all / 2);
        manager.release(manager.allocatePages("test", PAGES));
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
    }

    private static void withoutARegionPagesComeFromUnsafe() throws Exception {
        MemoryManager manager = manager(PAGES);
        List<MemorySegment> segments = manager.allocatePages("test", PAGES);
        expectDistinct(segments);
        segments.forEach(segment -> segment.putLong(PAGE_BYTES - 8, 1));
        Check.equal("fallbacks", (long) PAGES, Cluster.number("Fallbacks"));
        manager.release(segments);
        Check.equal("fallbacks returned", (long) PAGES, Cluster.number("FallbacksReturned"));
        Check.equal("served", 0L, Cluster.number("Served"));
        Check.equal("region", 0L, Cluster.number("RegionBytes"));
        Check.that("the manager is empty", manager.verifyEmpty());
    }

    private static void otherPageSizesPassThrough() throws Exception {
        MemoryManager ours = manager(PAGES);
        MemoryManager other = MemoryManager.create(1 << 20, 4096);
        List<MemorySegment> segments = other.allocatePages("test", 100);
        Check.equal("served", 0L, Cluster.number("Served"));
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
        other.release(segments);
        ours.release(ours.allocatePages("test", 1));
        Check.equal("served", 1L, Cluster.number("Served"));
    }

    private static MemoryManager manager(int pages) {
        return MemoryManager.create((long) pages * PAGE_BYTES, PAGE_BYTES);
    }

    private static void expectDistinct(List<MemorySegment> segments) {
        long[] addresses =
                segments.stream().mapToLong(MemorySegment::getAddress).sorted().toArray();
        for (int i = 1; i < addresses.length; i++) {
            Check.that("pages do not overlap", addresses[i] - addresses[i - 1] >= PAGE_BYTES);
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void inThread(Work work) throws Exception {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Throwable e) {
                failure.set(e);
            }
        });
        thread.start();
        thread.join();
        if (failure.get() != null) {
            throw new AssertionError(failure.get());
        }
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
