package offheap.flink;

import java.lang.ref.WeakReference;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.runtime.memory.MemoryManager;

/**
 * Who holds memory. Flink's memory managers know it, each for its slot: what they keep per owner is
 * read when somebody asks, so it costs nothing until then.
 */
public final class Holders {
    /** How many owners of a manager a report names. */
    private static final int NAMED_MAX = 5;

    private static final int NAME_CHARACTERS_MAX = 100;
    /** How many refusals are logged one by one; then the 8th, the 16th, and so on. */
    private static final long LOGGED_REFUSALS = 4;

    private static final List<WeakReference<MemoryManager>> MANAGERS = new CopyOnWriteArrayList<>();
    private static final AtomicLong REFUSALS = new AtomicLong();
    private static volatile long pageBytesSeen;
    private static volatile String lastRefusal = "";
    private static volatile boolean isReporting = true;

    private Holders() {}

    static void configure(Settings settings) {
        isReporting = settings.holders();
    }

    /** A memory manager has been made: the agent puts this at the end of its constructor. */
    public static void made(MemoryManager manager) {
        try {
            long pageBytes = manager.getPageSize();
            seePageBytes(pageBytes);
            MANAGERS.removeIf(reference -> reference.get() == null);
            MANAGERS.add(new WeakReference<>(manager));
            if (pageBytes != Pages.PAGE_BYTES) {
                Log.warn(
                        "a memory manager has pages of " + pageBytes + " bytes, and the region of "
                                + Pages.PAGE_BYTES + ": its pages come from Unsafe");
            }
        } catch (RuntimeException | LinkageError e) {
            Log.warn("a memory manager is not watched: " + e, e);
        }
    }

    /** A manager refuses memory: the agent puts this where it makes the exception. */
    public static void refused(Throwable refusal) {
        long count = REFUSALS.incrementAndGet();
        if (!isReporting) {
            return;
        }
        try {
            lastRefusal = refusal.getMessage() + "; " + Reports.line() + "; " + describe();
            if (count <= LOGGED_REFUSALS || Long.bitCount(count) == 1) {
                Log.warn("Flink refused memory (" + count + "): " + lastRefusal);
            }
        } catch (RuntimeException | LinkageError e) {
            Log.warn("a refusal is not reported: " + e, e);
        }
    }

    /** Flink's pages have this size: the region that is opened next will have it, too. */
    static void seePageBytes(long pageBytes) {
        if (pageBytesSeen == 0) {
            pageBytesSeen = pageBytes;
        }
    }

    static long refusals() {
        return REFUSALS.get();
    }

    static String lastRefusal() {
        return lastRefusal;
    }

    static long pageBytesSeen() {
        return pageBytesSeen;
    }

    /** All memory managers that live, and the largest owners of each. */
    static String describe() {
        StringBuilder text = new StringBuilder();
        int number = 0;
        for (WeakReference<MemoryManager> reference : MANAGERS) {
            MemoryManager manager = reference.get();
            if (manager == null || manager.isShutdown()) {
                continue;
            }
            number++;
            text.append(number == 1 ? "" : "; ").append(describe(number, manager));
        }
        return number == 0 ? "no memory manager lives" : text.toString();
    }

    private static String describe(int number, MemoryManager manager) {
        StringBuilder text = new StringBuilder();
        text.append(String.format(
                "memory manager %d has %d of %d bytes free",
                number, manager.availableMemory(), manager.getMemorySize()));
        try {
            List<Holder> holders = holders(manager);
            holders.sort(Comparator.comparingLong((Holder holder) -> holder.bytes).reversed());
            for (int i = 0; i < Math.min(holders.size(), NAMED_MAX); i++) {
                Holder holder = holders.get(i);
                text.append(i == 0 ? ", held by " : ", ").append(holder);
            }
            if (holders.size() > NAMED_MAX) {
                text.append(" and ").append(holders.size() - NAMED_MAX).append(" more");
            }
        } catch (ReflectiveOperationException | RuntimeException e) {
            text.append(", and who holds the rest is not to be read: ").append(e);
        }
        return text.toString();
    }

    private static List<Holder> holders(MemoryManager manager) throws ReflectiveOperationException {
        Map<?, ?> pages = map(manager, "allocatedSegments");
        Map<?, ?> reserved = map(manager, "reservedMemory");
        Set<Object> owners = new HashSet<>(pages.keySet());
        owners.addAll(reserved.keySet());
        List<Holder> holders = new ArrayList<>();
        for (Object owner : owners) {
            Set<?> segments = (Set<?>) pages.get(owner);
            Long bytes = (Long) reserved.get(owner);
            holders.add(
                    new Holder(
                            nameOf(owner),
                            segments == null ? 0 : segments.size(),
                            bytes == null ? 0 : bytes,
                            manager.getPageSize()));
        }
        return holders;
    }

    private static Map<?, ?> map(MemoryManager manager, String name)
            throws ReflectiveOperationException {
        Field field = MemoryManager.class.getDeclaredField(name);
        field.setAccessible(true);
        return (Map<?, ?>) field.get(manager);
    }

    /** A task says its name; of others, the class has to do. */
    private static String nameOf(Object owner) {
        String name;
        try {
            name = String.valueOf(owner);
        } catch (RuntimeException e) {
            name = owner.getClass().getName();
        }
        return name.length() <= NAME_CHARACTERS_MAX
                ? name
                : name.substring(0, NAME_CHARACTERS_MAX) + "...";
    }

    /** For the agent's verification: whether a segment lies in the region as a whole. */
    static boolean isOfRegion(MemorySegment segment) {
        long address = segment.getAddress();
        return Pages.contains(address) && Pages.contains(address + segment.size() - 1);
    }

    private static final class Holder {
        private final String name;
        private final int pages;
        private final long reservedBytes;
        private final long bytes;

        Holder(String name, int pages, long reservedBytes, long pageBytes) {
            this.name = name;
            this.pages = pages;
            this.reservedBytes = reservedBytes;
            bytes = pages * pageBytes + reservedBytes;
        }

        @Override
        public String toString() {
            String reserved = reservedBytes == 0 ? "" : " and " + reservedBytes + " bytes reserved";
            return "`" + name + "`: " + pages + " pages" + reserved;
        }
    }
}
