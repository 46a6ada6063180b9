import java.util.List;

/**
 * Jobs on a cluster in this process. The first argument says how the region is: {@code whole} has
 * all managed memory, {@code small} less of it, {@code network} has room for buffers too.
 */
final class JobsTest {
    private JobsTest() {}

    public static void main(String[] arguments) {
        // What a cluster leaves running is not waited for.
        try {
            run(arguments);
            System.exit(0);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    private static void run(String[] arguments) throws Exception {
        long rows = Long.parseLong(arguments[1]);
        switch (arguments[0]) {
            case "whole":
                whole(rows);
                break;
            case "small":
                small(rows);
                break;
            case "network":
                network(rows);
                break;
            default:
                throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void whole(long rows) throws Exception {
        try (Cluster cluster = new Cluster("128m")) {
            Jobs jobs = new Jobs(cluster.client(), rows);
            jobs.runAll();
            long issued = Cluster.number("Issued");
            Check.that("jobs use managed memory", issued > 1000);
            Check.equal("pages served", issued, Cluster.number("Served"));
            Check.equal("pages in the region", issued, Cluster.number("IssuedInRegion"));
            Check.equal("pages at multiples of 4 KiB", issued, Cluster.number("IssuedAligned"));
            Check.equal("pages returned", issued, Cluster.number("Returned"));
            Check.equal("refusals", 0L, Cluster.number("Refusals"));
            Check.equal("served, as Flink's metrics have it", issued, metric(cluster, "served"));

            refusal(cluster);
            jobs.hashAggregate();
            Check.that("the next job uses managed memory",
                    Cluster.number("Issued") > issued + 2048);
        }
        Check.equal("pages returned", Cluster.number("Issued"), Cluster.number("Returned"));
        Check.equal("pages served", Cluster.number("Issued"), Cluster.number("Served"));
        Check.equal("pages in the region", Cluster.number("Issued"),
                Cluster.number("IssuedInRegion"));
        Check.equal("bytes in use", 0L, Cluster.number("InUseBytes"));
        Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
        Check.equal("foreign pages", 0L, Cluster.number("Foreign"));
        long region = Cluster.number("RegionBytes");
        Check.that("the peak is that of the greedy job at least",
                Cluster.number("PeakBytes") >= (64 << 20) && Cluster.number("PeakBytes") <= region);
        long resident = Cluster.number("ResidentBytes");
        Check.that("something is resident, and never more than the region",
                resident > 0 && resident <= region);
    }

    private static void refusal(Cluster cluster) throws Exception {
        Throwable found = null;
        try {
            Greedy.run(cluster.client());
        } catch (Exception e) {
            found = e;
        }
        Check.that("a job that takes too much fails", found != null);
        StringBuilder causes = new StringBuilder();
        for (Throwable cause = found; cause != null; cause = cause.getCause()) {
            causes.append(cause).append('\n');
        }
        Check.that("it fails with Flink's exception\n" + causes,
                causes.indexOf("MemoryAllocationException: Could not allocate 1 pages") >= 0);
        Check.equal("refusals", 1L, Cluster.number("Refusals"));
        String report = (String) Cluster.attribute("LastRefusal");
        System.out.println("refusal: " + report);
        Check.that("the report names the holder and its pages\n" + report,
                report.contains(Greedy.NAME) && report.contains("2048 pages"));
    }

    private static void small(long rows) throws Exception {
        try (Cluster cluster = new Cluster("128m")) {
            Jobs jobs = new Jobs(cluster.client(), rows);
            jobs.hashAggregate();
            jobs.orderBy();
        }
        long fallbacks = Cluster.number("Fallbacks");
        long served = Cluster.number("Served");
        System.out.println("small: " + served + " served, " + fallbacks + " fallbacks");
        Check.that("the region does not have all pages, but some", fallbacks > 0 && served > 0);
        Check.equal("pages issued", served + fallbacks, Cluster.number("Issued"));
        Check.equal("pages in the region", served, Cluster.number("IssuedInRegion"));
        Check.equal("pages returned", served, Cluster.number("Returned"));
        Check.equal("fallbacks returned", fallbacks, Cluster.number("FallbacksReturned"));
        Check.equal("foreign pages", 0L, Cluster.number("Foreign"));
    }

    private static void network(long rows) throws Exception {
        try (Cluster cluster = new Cluster("64m")) {
            new Jobs(cluster.client(), rows).hashAggregate();
            long buffers = Cluster.number("Served") - Cluster.number("Issued");
            System.out.println("network: " + buffers + " buffers");
            Check.that("buffers of 48 MiB are pages of the region", buffers >= (48 << 20) >> 15);
            Check.equal("fallbacks", 0L, Cluster.number("Fallbacks"));
            Check.equal("foreign pages", 0L, Cluster.number("Foreign"));
        }
    }

    /** A number of the region among the metrics of the TaskManager, over REST. */
    private static long metric(Cluster cluster, String name) throws Exception {
        List<String> ids = Cluster.taskManagers(cluster.port());
        Check.equal("TaskManagers", 1, ids.size());
        // They are fetched when somebody asks, and shown to who asks again.
        long end = System.nanoTime() + 60_000_000_000L;
        long last = -1;
        while (System.nanoTime() < end && last != Cluster.number("Served")) {
            Thread.sleep(200);
            last = Cluster.metric(cluster.port(), ids.get(0), name);
        }
        return last;
    }
}
