package offheap.flink;

import org.slf4j.LoggerFactory;

/** Flink's log, or standard error where there is none. */
final class Log {
    private Log() {}

    static void info(String text) {
        try {
            LoggerFactory.getLogger("offheap.flink").info("offheap: {}", text);
        } catch (LinkageError e) {
            print(text);
        }
    }

    static void warn(String text) {
        warn(text, null);
    }

    static void warn(String text, Throwable cause) {
        try {
            LoggerFactory.getLogger("offheap.flink").warn("offheap: " + text, cause);
        } catch (LinkageError e) {
            print(text);
        }
    }

    /** For what has to be seen before there is a log, or when there is none any more. */
    static void print(String text) {
        System.err.println("offheap: " + text);
    }
}
