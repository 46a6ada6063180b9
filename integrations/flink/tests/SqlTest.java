/** All jobs on the region: every page that Flink issues comes from it and goes back to it. */
final class SqlTest {
    private SqlTest() {}

    public static void main(String[] arguments) throws Exception {
        long rows = Long.parseLong(arguments[0]);
        try (Cluster cluster = new Cluster("128m")) {
            new Jobs(cluster.client(), rows).runAll();
        }
        for (String name : new String[] {"Served", "Returned", "Issued", "IssuedInRegion", "IssuedAligned", "Fallbacks", "Foreign", "PeakBytes", "ResidentBytes", "AtHandBytes"}) {
            System.out.println(name + " " + Cluster.number(name));
        }
    }
}
