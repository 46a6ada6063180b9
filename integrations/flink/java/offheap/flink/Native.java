package offheap.flink;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import sun.misc.Unsafe;

/**
 * The library, {@code src/jni.rs}: numbers in, numbers out. Batches of addresses lie in memory of
 * the caller, as 64-bit numbers, and no second thread may use such memory during a call.
 */
final class Native {
    /** The flags of {@link #open}. */
    static final int HUGE_PAGES_NEVER = 1;
    static final int HUGE_PAGES_RESERVED = 2;
    static final int COLOUR = 4;
    static final int POPULATE = 8;

    /** The numbers of {@link #stat}. */
    static final int REGION_BYTES = 0;
    static final int FRAME_BYTES = 1;
    static final int RESIDENT_BYTES = 2;
    static final int IDLE_BYTES = 3;
    static final int GIVEN_BACK_BYTES = 4;

    private static final String RESOURCE = "liboffheap_flink.so";
    private static final int MESSAGE_BYTES = 512;

    private Native() {}

    /** Returns the address of the region, or 0 after saying why there is none. */
    private static native long open(
            long pages,
            long pageBytes,
            int flags,
            long idleAboveBytes,
            long idleMillis,
            long message,
            int messageBytes);

    /** Writes the addresses of up to {@code count} pages; returns how many there were. */
    static native int allocate(long addresses, int count);

    /** Takes pages back; returns how many of the addresses were of no page that is out. */
    static native int release(long addresses, int count);

    static native long trim(long idleBytes);

    static native long stat(int which);

    /** Opens the region of this process; returns its address. */
    static long open(Unsafe unsafe, Settings settings, long pages, long pageBytes) {
        long message = unsafe.allocateMemory(MESSAGE_BYTES);
        try {
            long base =
                    open(
                            pages,
                            pageBytes,
                            settings.flags(),
                            settings.idleAboveBytes(),
                            settings.returnsIdleMemory() ? settings.idleEveryMillis() : 0,
                            message,
                            MESSAGE_BYTES);
            if (base == 0) {
                throw new IllegalStateException(text(unsafe, message));
            }
            return base;
        } finally {
            unsafe.freeMemory(message);
        }
    }

    private static String text(Unsafe unsafe, long at) {
        int length = 0;
        while (unsafe.getByte(at + length) != 0) {
            length++;
        }
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = unsafe.getByte(at + i);
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** Loads the library that is named, or else the one that the agent's jar contains. */
    static void load(String library) throws IOException {
        if (library != null) {
            System.load(Path.of(library).toAbsolutePath().toString());
            return;
        }
        try (InputStream packed = Native.class.getResourceAsStream(RESOURCE)) {
            if (packed == null) {
                throw new IOException("the agent's jar contains no " + RESOURCE);
            }
            Path file = Files.createTempFile("offheap-flink", ".so");
            try {
                Files.copy(packed, file, StandardCopyOption.REPLACE_EXISTING);
                System.load(file.toString());
            } finally {
                // What is loaded stays mapped.
                Files.deleteIfExists(file);
            }
        }
    }
}
