import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.LongStream;
import org.apache.flink.configuration.Configuration;

/**
 * Jobs on a cluster of processes, whose REST port is the first argument and whose TaskManagers are
 * the processes that the third and later ones number, as {@code name=process}.
 */
final class StandaloneTest {
    private static final long SECONDS_MAX = 120;
    private static final int ROUNDS = 3;

    private final int port;
    private final long rows;

    private StandaloneTest(int port, long rows) {
        this.port = port;
        this.rows = rows;
    }

    public static void main(String[] arguments) {
        try {
            int port = Integer.parseInt(arguments[0]);
            StandaloneTest test = new StandaloneTest(port, Long.parseLong(arguments[1]));
            List<String> processes = List.of(arguments).subList(3, arguments.length);
            if (arguments[2].equals("kill")) {
                test.killOneMidway(processes);
            } else {
                test.run(processes.size());
            }
            System.exit(0);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    /** All jobs, some times; then every page that was served is back. */
    private void run(int taskManagers) throws Exception {
        await(taskManagers + " TaskManagers", () -> names().size() == taskManagers);
        for (int round = 1; round <= ROUNDS; round++) {
            jobs().runAll();
            System.out.println("round " + round + " of " + ROUNDS);
        }
        for (String name : names()) {
            long[] numbers = new long[4];
            await(name + " has all pages back", () -> {
                numbers[0] = metric(name, "served");
                numbers[1] = metric(name, "returned");
                numbers[2] = metric(name, "issued");
                numbers[3] = metric(name, "issuedInRegion");
                return numbers[0] > 0 && LongStream.of(numbers).allMatch(n -> n == numbers[0]);
            });
            Check.equal("fallbacks of " + name, 0L, metric(name, "fallbacks"));
            Check.equal("foreign pages of " + name, 0L, metric(name, "foreign"));
            System.out.printf(
                    "%s: %d pages served, issued, in the region and returned; %d of %d bytes"
                            + " resident, peak %d%n",
                    name, metric(name, "served"), metric(name, "residentBytes"),
                    metric(name, "regionBytes"), metric(name, "peakBytes"));
            Check.that("jobs use its managed memory", numbers[0] > 1000);
        }
    }

    /** Kills a TaskManager that has pages in the middle of a job, which ends well all the same. */
    private void killOneMidway(List<String> processes) throws Exception {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread job =
                new Thread(() -> {
                    try {
                        jobs().hashAggregate();
                    } catch (Throwable e) {
                        failure.set(e);
                    }
                });
        job.start();
        String[] victim = new String[1];
        await("a TaskManager has pages in the middle of a job", () -> {
            for (String process : processes) {
                String name = process.substring(0, process.indexOf('='));
                if (metric(name, "inUseBytes") > 0) {
                    victim[0] = process;
                    return true;
                }
            }
            Check.that("the job runs long enough: " + failure.get(), job.isAlive());
            return false;
        });
        String name = victim[0].substring(0, victim[0].indexOf('='));
        long process = Long.parseLong(victim[0].substring(name.length() + 1));
        Optional<ProcessHandle> handle = ProcessHandle.of(process);
        Check.that("there is a process " + process, handle.isPresent());
        Check.that("it can be killed", handle.get().destroyForcibly());
        handle.get().onExit().get(SECONDS_MAX, TimeUnit.SECONDS);
        Check.that("the job was running still", job.isAlive());
        System.out.println("killed " + name + " in the middle of a job");
        job.join();
        if (failure.get() != null) {
            throw new AssertionError("the job did not recover", failure.get());
        }
        System.out.println("the job recovered");
    }

    /** As many tasks as there are slots, so that all TaskManagers work. */
    private Jobs jobs() {
        Configuration client = Cluster.clientOf(port);
        client.setString("table.exec.resource.default-parallelism", "4");
        return new Jobs(client, rows);
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private void await(String sentence, Condition condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS_MAX);
        while (!condition.holds()) {
            Check.that(sentence, System.nanoTime() < end);
            Thread.sleep(50);
        }
    }

    private List<String> names() {
        try {
            return Cluster.taskManagers(port);
        } catch (IOException e) {
            return List.of();
        }
    }

    private long metric(String taskManager, String name) {
        try {
            return Cluster.metric(port, taskManager, name);
        } catch (IOException e) {
            return -1;
        }
    }
}
