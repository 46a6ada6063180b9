package offheap.flink;

import java.util.Properties;
import java.util.Set;

/** What the properties say, and the command line where they say nothing. */
final class SettingsTest {
    private static final String COMMAND =
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir /conf"
                    + " -D taskmanager.memory.network.min=67108864b"
                    + " -D taskmanager.memory.network.max=67108864b"
                    + " -D taskmanager.memory.managed.size=241591914b -D taskmanager.cpu.cores=2.0";

    private SettingsTest() {}

    public static void main(String[] arguments) {
        equal(241591914L, settings(COMMAND).regionBytes());
        equal(32768L, settings(COMMAND).pageBytes(0));
        equal(65536L, settings(COMMAND).pageBytes(65536));
        equal(4096L, settings(COMMAND, "offheap.page.bytes", "4kb").pageBytes(65536));
        equal(8192L, settings("X -Dtaskmanager.memory.segment-size=8kb").pageBytes(0));
        // The last one counts, as for Flink.
        String twice = COMMAND + " -Dtaskmanager.memory.managed.size=1m";
        equal(1L << 20, settings(twice).regionBytes());
        equal(1L << 29, settings(COMMAND, "offheap.bytes", "512m").regionBytes());
        long network = 241591914L + (64 << 20) + (64 << 20);
        equal(network, settings(COMMAND, "offheap.network", "true").regionBytes());
        equal(0L, settings("org.apache.flink.client.cli.CliFrontend run x.jar").regionBytes());
        equal(0L, settings("X taskmanager.memory.managed.size=1m").regionBytes());
        equal(0, settings("").flags());
        equal(
                Native.HUGE_PAGES_RESERVED | Native.COLOUR | Native.POPULATE,
                settings("", "offheap.huge-pages", "reserved", "offheap.colour", "true",
                                "offheap.populate", "true").flags());
        equal(Set.of("offheap.byte"), settings("", "offheap.byte", "1", "other", "2").unknown());
        refuses("offheap.huge-pages is transparent, never or reserved, not yes",
                () -> settings("", "offheap.huge-pages", "yes").flags());
        refuses("offheap.wipe is true or false, not 1",
                () -> settings("", "offheap.wipe", "1").wipe());
        refuses("offheap.bytes is a size such as 512m, not many",
                () -> settings("", "offheap.bytes", "many").regionBytes());
        refuses("offheap.at-hand is a number of at least 64, not 63",
                () -> settings("", "offheap.at-hand", "63").atHand());
        System.out.println("settings: ok");
    }

    private static Settings settings(String command, String... namesAndValues) {
        Properties properties = new Properties();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            properties.setProperty(namesAndValues[i], namesAndValues[i + 1]);
        }
        return new Settings(properties, command);
    }

    private static void equal(Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new AssertionError(found + ", not " + expected);
        }
    }

    private static void refuses(String sentence, Runnable call) {
        try {
            call.run();
        } catch (IllegalArgumentException e) {
            equal(sentence, e.getMessage());
            return;
        }
        throw new AssertionError("accepted: " + sentence);
    }
}
