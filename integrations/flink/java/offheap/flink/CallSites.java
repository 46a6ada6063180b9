package offheap.flink;

import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.ALOAD;
import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.ASM9;
import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.DUP;
import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.INVOKESPECIAL;
import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.INVOKESTATIC;
import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.INVOKEVIRTUAL;
import static org.apache.flink.shaded.asm9.org.objectweb.asm.Opcodes.RETURN;

import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.shaded.asm9.org.objectweb.asm.ClassReader;
import org.apache.flink.shaded.asm9.org.objectweb.asm.ClassVisitor;
import org.apache.flink.shaded.asm9.org.objectweb.asm.ClassWriter;
import org.apache.flink.shaded.asm9.org.objectweb.asm.MethodVisitor;

/**
 * Rewrites one of Flink's classes and counts what was found. Calls are replaced by calls of static
 * methods that take the receiver as their first argument, or followed by such; the stack keeps its
 * shape between instructions, so nothing else changes.
 */
final class CallSites {
    static final String MEMORY_UTILS = "org/apache/flink/core/memory/MemoryUtils";
    static final String MEMORY_MANAGER = "org/apache/flink/runtime/memory/MemoryManager";
    static final String METRIC_UTILS = "org/apache/flink/runtime/metrics/util/MetricUtils";
    static final String NETWORK_POOL =
            "org/apache/flink/runtime/io/network/buffer/NetworkBufferPool";
    static final String BATCH_SHUFFLE_POOL =
            "org/apache/flink/runtime/io/disk/BatchShuffleReadBufferPool";

    static final String ALLOCATE = "Unsafe.allocateMemory";
    static final String FREE = "Unsafe.freeMemory";
    static final String FACTORY = "MemorySegmentFactory.allocateOffHeapUnsafeMemory";

    private static final String UNSAFE = "sun/misc/Unsafe";
    private static final String SEGMENT_FACTORY =
            "org/apache/flink/core/memory/MemorySegmentFactory";
    private static final String SEGMENT = "Lorg/apache/flink/core/memory/MemorySegment;";
    private static final String REFUSAL =
            "org/apache/flink/runtime/memory/MemoryAllocationException";
    private static final String METRIC_GROUP = "Lorg/apache/flink/metrics/MetricGroup;";

    /** How often each call was found. */
    private final Map<String, Integer> found = new TreeMap<>();

    private final boolean verifies;
    private final boolean servesNetwork;

    CallSites(boolean verifies, boolean servesNetwork) {
        this.verifies = verifies;
        this.servesNetwork = servesNetwork;
    }

    int found(String call) {
        return found.getOrDefault(call, 0);
    }

    /** The class, rewritten; or null for a class that stays as it is. */
    byte[] rewrite(String name, byte[] bytes) {
        boolean isOurs;
        switch (name) {
            case MEMORY_UTILS:
            case MEMORY_MANAGER:
            case METRIC_UTILS:
                isOurs = true;
                break;
            case NETWORK_POOL:
            case BATCH_SHUFFLE_POOL:
                isOurs = servesNetwork;
                break;
            default:
                isOurs = false;
        }
        if (!isOurs) {
            return null;
        }
        ClassReader reader = new ClassReader(bytes);
        ClassWriter writer = new ClassWriter(reader, ClassWriter.COMPUTE_MAXS);
        reader.accept(
                new ClassVisitor(ASM9, writer) {
                    @Override
                    public MethodVisitor visitMethod(
                            int access,
                            String method,
                            String descriptor,
                            String signature,
                            String[] exceptions) {
                        MethodVisitor target =
                                super.visitMethod(
                                        access, method, descriptor, signature, exceptions);
                        switch (name) {
                            case MEMORY_UTILS:
                                return new Utils(target);
                            case MEMORY_MANAGER:
                                return new Manager(target, method.equals("<init>"));
                            case METRIC_UTILS:
                                return method.equals("instantiateFlinkMemoryMetricGroup")
                                                && descriptor.startsWith("(" + METRIC_GROUP)
                                        ? new Metrics(target)
                                        : target;
                            default:
                                return new Network(target);
                        }
                    }
                },
                0);
        return writer.toByteArray();
    }

    private void count(String call) {
        found.merge(call, 1, Integer::sum);
    }

    /** The two calls that this is about. */
    private final class Utils extends MethodVisitor {
        Utils(MethodVisitor target) {
            super(ASM9, target);
        }

        @Override
        public void visitMethodInsn(
                int opcode, String owner, String name, String descriptor, boolean isInterface) {
            boolean isUnsafe = opcode == INVOKEVIRTUAL && owner.equals(UNSAFE);
            if (isUnsafe && name.equals("allocateMemory") && descriptor.equals("(J)J")) {
                count(ALLOCATE);
                call("Backend", "allocate", "(L" + UNSAFE + ";J)J", mv);
            } else if (isUnsafe && name.equals("freeMemory") && descriptor.equals("(J)V")) {
                count(FREE);
                call("Backend", "free", "(L" + UNSAFE + ";J)V", mv);
            } else {
                super.visitMethodInsn(opcode, owner, name, descriptor, isInterface);
            }
        }
    }

    /** Says when a manager is made and when it refuses, and hands its pages to who counts them. */
    private final class Manager extends MethodVisitor {
        private final boolean isConstructor;

        Manager(MethodVisitor target, boolean isConstructor) {
            super(ASM9, target);
            this.isConstructor = isConstructor;
        }

        @Override
        public void visitInsn(int opcode) {
            if (isConstructor && opcode == RETURN) {
                count("a constructor of MemoryManager");
                super.visitVarInsn(ALOAD, 0);
                call("Holders", "made", "(L" + MEMORY_MANAGER + ";)V", mv);
            }
            super.visitInsn(opcode);
        }

        @Override
        public void visitMethodInsn(
                int opcode, String owner, String name, String descriptor, boolean isInterface) {
            super.visitMethodInsn(opcode, owner, name, descriptor, isInterface);
            if (opcode == INVOKESPECIAL && owner.equals(REFUSAL) && name.equals("<init>")) {
                count("new MemoryAllocationException");
                super.visitInsn(DUP);
                call("Holders", "refused", "(Ljava/lang/Throwable;)V", mv);
            }
            if (opcode == INVOKESTATIC
                    && owner.equals(SEGMENT_FACTORY)
                    && name.equals("allocateOffHeapUnsafeMemory")) {
                count(FACTORY);
                if (verifies) {
                    super.visitInsn(DUP);
                    call("Verify", "issued", "(" + SEGMENT + ")V", mv);
                }
            }
        }
    }

    /** Registers our numbers before Flink's own. */
    private static final class Metrics extends MethodVisitor {
        Metrics(MethodVisitor target) {
            super(ASM9, target);
        }

        @Override
        public void visitCode() {
            super.visitCode();
            super.visitVarInsn(ALOAD, 0);
            call("Reports", "register", "(" + METRIC_GROUP + ")V", mv);
        }
    }

    /** Buffers of the network and of the batch shuffle. */
    private static final class Network extends MethodVisitor {
        Network(MethodVisitor target) {
            super(ASM9, target);
        }

        @Override
        public void visitMethodInsn(
                int opcode, String owner, String name, String descriptor, boolean isInterface) {
            if (opcode == INVOKESTATIC
                    && owner.equals(SEGMENT_FACTORY)
                    && name.equals("allocateUnpooledOffHeapMemory")) {
                call("NetworkBuffers", "allocate", descriptor, mv);
            } else {
                super.visitMethodInsn(opcode, owner, name, descriptor, isInterface);
            }
        }
    }

    private static void call(String owner, String name, String descriptor, MethodVisitor target) {
        target.visitMethodInsn(INVOKESTATIC, "offheap/flink/" + owner, name, descriptor, false);
    }
}
