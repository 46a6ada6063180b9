import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.runtime.memory.MemoryManager;

/**
 * CPU time per page, allocated and released through Flink's memory manager. Prints a line a case:
 * its name and the nanoseconds of CPU time that the working threads took per page.
 */
final class PageBench {
    private static final int PAGE_BYTES = 32 << 10;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    private PageBench() {}

    public static void main(String[] arguments) throws Exception {
        long pages = Long.parseLong(arguments[0]);
        run("n=1", 1, pages, 1, false, false);
        run("n=512", 512, pages, 1, false, false);
        run("n=1000", 1000, pages, 1, false, false);
        run("n=1000, first touch", 1000, pages, 1, false, true);
        run("2 threads, own managers", 1000, pages, 2, false, false);
        run("2 threads, shared manager", 1000, pages, 2, true, false);
    }

    private static void run(
            String name, int n, long pages, int threads, boolean isShared, boolean touches)
            throws Exception {
        MemoryManager shared = manager(n * threads);
        List<MemoryManager> managers = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            managers.add(isShared ? shared : manager(n));
        }
        measure(managers, n, pages / 4, touches);
        System.out.printf("%s\t%.1f%n", name, measure(managers, n, pages, touches));
        for (MemoryManager manager : managers) {
            if (!manager.verifyEmpty()) {
                throw new AssertionError(name + ": pages were left over");
            }
            manager.shutdown();
        }
    }

    private static MemoryManager manager(int pages) {
        return MemoryManager.create((long) pages * PAGE_BYTES, PAGE_BYTES);
    }

    /** A thread per manager; returns the nanoseconds of CPU time per page. */
    private static double measure(
            List<MemoryManager> managers, int n, long pages, boolean touches) throws Exception {
        AtomicLong nanos = new AtomicLong();
        AtomicLong done = new AtomicLong();
        CountDownLatch start = new CountDownLatch(managers.size());
        List<Thread> threads = new ArrayList<>();
        for (MemoryManager manager : managers) {
            Thread thread =
                    new Thread(
                            () -> {
                                try {
                                    start.countDown();
                                    start.await();
                                    long before = THREADS.getCurrentThreadCpuTime();
                                    done.addAndGet(work(manager, n, pages, touches));
                                    nanos.addAndGet(THREADS.getCurrentThreadCpuTime() - before);
                                } catch (Exception e) {
                                    e.printStackTrace();
                                    Runtime.getRuntime().halt(1);
                                }
                            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return (double) nanos.get() / done.get();
    }

    private static long work(MemoryManager manager, int n, long pages, boolean touches)
            throws Exception {
        Object owner = new Object();
        List<MemorySegment> segments = new ArrayList<>(n);
        long done = 0;
        while (done < pages) {
            manager.allocatePages(owner, segments, n);
            if (touches) {
                for (MemorySegment segment : segments) {
                    for (int at = 0; at < PAGE_BYTES; at += 4096) {
                        segment.put(at, (byte) 1);
                    }
                }
            }
            manager.release(segments);
            segments.clear();
            done += n;
        }
        return done;
    }
}
