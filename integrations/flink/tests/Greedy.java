import java.util.List;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.memory.MemorySegment;
import org.apache.flink.runtime.memory.MemoryAllocationException;
import org.apache.flink.runtime.memory.MemoryManager;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.CloseableIterator;

/** A job whose operator takes all managed memory of its slot, and then one page more. */
final class Greedy {
    static final String NAME = "greedy";

    private Greedy() {}

    static void run(Configuration cluster) throws Exception {
        Configuration configuration = new Configuration(cluster);
        configuration.setString("parallelism.default", "1");
        StreamExecutionEnvironment environment = new StreamExecutionEnvironment(configuration);
        try (CloseableIterator<Long> found =
                environment
                        .fromSequence(1, 10)
                        .transform(NAME, Types.LONG, new Operator())
                        .executeAndCollect()) {
            found.forEachRemaining(number -> {});
        }
    }

    private static final class Operator extends AbstractStreamOperator<Long>
            implements OneInputStreamOperator<Long, Long> {
        private static final long serialVersionUID = 1;

        @Override
        public void open() throws Exception {
            super.open();
            MemoryManager manager = getContainingTask().getEnvironment().getMemoryManager();
            int all = (int) (manager.getMemorySize() / manager.getPageSize());
            List<MemorySegment> segments = manager.allocatePages(getContainingTask(), all);
            for (MemorySegment segment : segments) {
                segment.putLong(0, 42);
            }
            try {
                manager.allocatePages(getContainingTask(), 1);
            } catch (MemoryAllocationException e) {
                throw new IllegalStateException("greedy got no more", e);
            }
        }

        @Override
        public void processElement(StreamRecord<Long> element) {
            output.collect(element);
        }
    }
}
