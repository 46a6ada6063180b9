package offheap.flink;

import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.configuration.MemorySize;

/**
 * What the system properties {@code offheap.*} say, and where they say nothing, what Flink was
 * started with: the command line of a TaskManager has all sizes that Flink calculated.
 */
final class Settings {
    private static final String MANAGED = "taskmanager.memory.managed.size";
    private static final String NETWORK = "taskmanager.memory.network.max";
    private static final String BATCH_SHUFFLE =
            "taskmanager.memory.framework.off-heap.batch-shuffle.size";
    private static final String SEGMENT = "taskmanager.memory.segment-size";
    private static final long BATCH_SHUFFLE_BYTES_DEFAULT = 64 << 20;
    static final long PAGE_BYTES_DEFAULT = 32 << 10;

    private static final Set<String> KNOWN =
            Set.of(
                    "offheap.bytes",
                    "offheap.page.bytes",
                    "offheap.library",
                    "offheap.huge-pages",
                    "offheap.populate",
                    "offheap.wipe",
                    "offheap.colour",
                    "offheap.idle.above",
                    "offheap.idle.every",
                    "offheap.at-hand",
                    "offheap.network",
                    "offheap.verify",
                    "offheap.holders",
                    "offheap.report");

    private final Properties properties;
    private final String command;

    Settings(Properties properties, String command) {
        this.properties = properties;
        this.command = command;
    }

    /** Those of this process. */
    static Settings ofProcess() {
        return new Settings(System.getProperties(), System.getProperty("sun.java.command", ""));
    }

    /** The bytes that the region has to have, or 0 if nobody says. */
    long regionBytes() {
        String named = properties.getProperty("offheap.bytes");
        if (named != null) {
            return bytes("offheap.bytes", named);
        }
        String managed = argument(MANAGED);
        if (managed == null) {
            return 0;
        }
        long bytes = bytes(MANAGED, managed);
        if (network()) {
            String network = argument(NETWORK);
            String shuffle = argument(BATCH_SHUFFLE);
            bytes += network == null ? 0 : bytes(NETWORK, network);
            bytes += shuffle == null ? BATCH_SHUFFLE_BYTES_DEFAULT : bytes(BATCH_SHUFFLE, shuffle);
        }
        return bytes;
    }

    /** The bytes of a page: as named, or else as Flink's first memory manager says. */
    long pageBytes(long ofManager) {
        String named = properties.getProperty("offheap.page.bytes");
        if (named != null) {
            return bytes("offheap.page.bytes", named);
        }
        if (ofManager > 0) {
            return ofManager;
        }
        String segment = argument(SEGMENT);
        return segment == null ? PAGE_BYTES_DEFAULT : bytes(SEGMENT, segment);
    }

    /** A path, or null for the library in the agent's jar. */
    String library() {
        return properties.getProperty("offheap.library");
    }

    int flags() {
        int flags = 0;
        String huge = properties.getProperty("offheap.huge-pages", "transparent");
        switch (huge) {
            case "transparent":
                break;
            case "never":
                flags |= Native.HUGE_PAGES_NEVER;
                break;
            case "reserved":
                flags |= Native.HUGE_PAGES_RESERVED;
                break;
            default:
                throw new IllegalArgumentException(
                        "offheap.huge-pages is transparent, never or reserved, not " + huge);
        }
        flags |= colour() ? Native.COLOUR : 0;
        flags |= is("offheap.populate") ? Native.POPULATE : 0;
        return flags;
    }

    boolean colour() {
        return is("offheap.colour");
    }

    boolean wipe() {
        return is("offheap.wipe");
    }

    boolean network() {
        return is("offheap.network");
    }

    boolean verify() {
        return is("offheap.verify");
    }

    boolean holders() {
        return !"false".equals(properties.getProperty("offheap.holders"));
    }

    boolean report() {
        return is("offheap.report");
    }

    boolean returnsIdleMemory() {
        return properties.getProperty("offheap.idle.above") != null;
    }

    long idleAboveBytes() {
        String named = properties.getProperty("offheap.idle.above");
        return named == null ? 0 : bytes("offheap.idle.above", named);
    }

    long idleEveryMillis() {
        return number("offheap.idle.every", 10_000, 1);
    }

    /** How many free pages a shelf keeps at hand. */
    int atHand() {
        return (int) Math.min(number("offheap.at-hand", 1024, Shelf.BATCH), 1 << 20);
    }

    /** The properties that look like ours and are not. */
    Set<String> unknown() {
        Set<String> unknown = new TreeSet<>();
        for (String name : properties.stringPropertyNames()) {
            if (name.startsWith("offheap.") && !KNOWN.contains(name)) {
                unknown.add(name);
            }
        }
        return unknown;
    }

    private boolean is(String name) {
        String value = properties.getProperty(name, "false");
        if (!value.equals("true") && !value.equals("false")) {
            throw new IllegalArgumentException(name + " is true or false, not " + value);
        }
        return value.equals("true");
    }

    private long number(String name, long otherwise, long atLeast) {
        String value = properties.getProperty(name);
        try {
            long number = value == null ? otherwise : Long.parseLong(value);
            if (number >= atLeast) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new IllegalArgumentException(
                name + " is a number of at least " + atLeast + ", not " + value);
    }

    private static long bytes(String name, String value) {
        try {
            return MemorySize.parseBytes(value);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    name + " is a size such as 512m, not " + value, e);
        }
    }

    /** The last value of {@code -D name=value} on the command line, or null. */
    private String argument(String name) {
        List<String> words = new ArrayList<>(List.of(command.split("\\s+")));
        String prefix = name + "=";
        String found = null;
        for (int i = 1; i < words.size(); i++) {
            String word = words.get(i);
            if (word.startsWith("-D") && word.length() > 2) {
                word = word.substring(2);
            } else if (!words.get(i - 1).equals("-D")) {
                continue;
            }
            if (word.startsWith(prefix)) {
                found = word.substring(prefix.length());
            }
        }
        return found;
    }
}
