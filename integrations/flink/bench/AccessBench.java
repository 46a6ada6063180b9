import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.List;
import java.util.Random;
import org.apache.flink.api.common.typeutils.base.LongComparator;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.runtime.memory.MemoryManager;
import org.apache.flink.runtime.operators.sort.NormalizedKeySorter;
import org.apache.flink.runtime.operators.sort.QuickSort;

/**
 * What it costs to work on managed memory once one has it: Flink's in-memory sorter, and reads at
 * random places. Prints a line a case: its name and the nanoseconds of CPU time per record or read.
 */
final class AccessBench {
    private static final int PAGE_BYTES = 32 << 10;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final int READS = 20_000_000;

    private AccessBench() {}

    public static void main(String[] arguments) throws Exception {
        int pages = Integer.parseInt(arguments[0]);
        MemoryManager manager = MemoryManager.create((long) pages * PAGE_BYTES, PAGE_BYTES);
        double sorted = 0;
        double read = 0;
        // The last round is the one that counts.
        for (int round = 0; round < 3; round++) {
            List<MemorySegment> segments = manager.allocatePages("bench", pages);
            long before = THREADS.getCurrentThreadCpuTime();
            int records = sort(segments);
            sorted = (double) (THREADS.getCurrentThreadCpuTime() - before) / records;
            before = THREADS.getCurrentThreadCpuTime();
            long sum = readAtRandom(segments);
            read = (double) (THREADS.getCurrentThreadCpuTime() - before) / READS;
            if (sum == 42) {
                System.out.println("an unlikely sum");
            }
            manager.release(segments);
        }
        System.out.printf("sorter, a record\t%.1f%n", sorted);
        System.out.printf("random access, a read\t%.1f%n", read);
    }

    private static int sort(List<MemorySegment> segments) throws Exception {
        NormalizedKeySorter<Long> sorter =
                new NormalizedKeySorter<>(
                        LongSerializer.INSTANCE,
                        new LongComparator(true),
                        List.copyOf(segments));
        Random random = new Random(1);
        int records = 0;
        while (sorter.write(random.nextLong())) {
            records++;
        }
        new QuickSort().sort(sorter);
        if (sorter.getRecord(0) > sorter.getRecord(records - 1)) {
            throw new AssertionError("not sorted");
        }
        return records;
    }

    private static long readAtRandom(List<MemorySegment> segments) {
        MemorySegment[] pages = segments.toArray(new MemorySegment[0]);
        long state = 1;
        long sum = 0;
        for (int i = 0; i < READS; i++) {
            state = state * 6364136223846793005L + 1442695040888963407L;
            int page = (int) ((state >>> 40) % pages.length);
            // The next place depends on what was read, as in a hash table.
            sum += pages[page].getLong((int) (state >>> 20 & 4095) * 8);
            state += sum & 1;
        }
        return sum;
    }
}
