package offheap.flink;

import java.io.IOException;
import java.io.InputStream;
import java.lang.instrument.ClassFileTransformer;
import java.lang.instrument.Instrumentation;
import java.security.ProtectionDomain;

/**
 * Puts {@link Backend} in the place of the two calls through which all of Flink's managed memory
 * comes and goes. Where Flink is not as expected the process does not start: a TaskManager that
 * believes that it runs on the region must not run beside it.
 */
public final class Agent {
    private static final int EXIT_CODE = 78;

    private Agent() {}

    /** Called by the JVM before {@code main}. */
    public static void premain(String arguments, Instrumentation instrumentation) {
        byte[] memoryUtils;
        try (InputStream in =
                ClassLoader.getSystemResourceAsStream(CallSites.MEMORY_UTILS + ".class")) {
            if (in == null) {
                Log.print("no Flink on the class path: the agent does nothing");
                return;
            }
            memoryUtils = in.readAllBytes();
        } catch (IOException e) {
            throw refuse("cannot read Flink's MemoryUtils: " + e);
        }
        boolean verifies = Boolean.getBoolean("offheap.verify");
        boolean servesNetwork = Boolean.getBoolean("offheap.network");
        // Flink loads these long after.
        for (Class<?> loaded : instrumentation.getAllLoadedClasses()) {
            if (loaded.getName().replace('.', '/').equals(CallSites.MEMORY_UTILS)) {
                throw refuse("Flink's MemoryUtils is loaded already, by another agent perhaps");
            }
        }
        rewrite(CallSites.MEMORY_UTILS, memoryUtils, verifies, servesNetwork);
        instrumentation.addTransformer(
                new ClassFileTransformer() {
                    @Override
                    public byte[] transform(
                            ClassLoader loader,
                            String name,
                            Class<?> redefined,
                            ProtectionDomain domain,
                            byte[] bytes) {
                        return name == null || !name.startsWith("org/apache/flink/")
                                ? null
                                : rewrite(name, bytes, verifies, servesNetwork);
                    }
                });
    }

    private static byte[] rewrite(
            String name, byte[] bytes, boolean verifies, boolean servesNetwork) {
        CallSites sites = new CallSites(verifies, servesNetwork);
        byte[] rewritten;
        try {
            rewritten = sites.rewrite(name, bytes);
        } catch (RuntimeException | LinkageError e) {
            throw refuse("cannot rewrite " + name.replace('/', '.') + ": " + e);
        }
        if (name.equals(CallSites.MEMORY_UTILS)) {
            expectOne(sites, CallSites.ALLOCATE, "MemoryUtils");
            expectOne(sites, CallSites.FREE, "MemoryUtils");
        }
        if (name.equals(CallSites.MEMORY_MANAGER) && verifies) {
            expectOne(sites, CallSites.FACTORY, "MemoryManager");
        }
        return rewritten;
    }

    private static void expectOne(CallSites sites, String call, String where) {
        int found = sites.found(call);
        if (found != 1) {
            throw refuse(
                    "this Flink is not one that the agent knows: " + where + " has " + found
                            + " calls of " + call + ", not 1; the process does not start, remove"
                            + " -javaagent to run without the region");
        }
    }

    /** Ends the process: a JVM ignores what a transformer throws. */
    private static IllegalStateException refuse(String sentence) {
        Log.print(sentence);
        Runtime.getRuntime().halt(EXIT_CODE);
        return new IllegalStateException(sentence);
    }
}
