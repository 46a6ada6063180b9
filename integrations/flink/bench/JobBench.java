import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Whole jobs on a cluster in this process. Prints what the process took in all: CPU time, page
 * faults, and the most memory that was resident.
 */
final class JobBench {
    private JobBench() {}

    public static void main(String[] arguments) {
        try {
            long rows = Long.parseLong(arguments[0]);
            try (Cluster cluster = new Cluster("128m")) {
                for (int round = 0; round < 2; round++) {
                    new Jobs(cluster.client(), rows).runAll();
                }
            }
            com.sun.management.OperatingSystemMXBean system =
                    (com.sun.management.OperatingSystemMXBean)
                            ManagementFactory.getOperatingSystemMXBean();
            System.out.printf("jobs, CPU seconds\t%.1f%n", system.getProcessCpuTime() / 1e9);
            String stat = Files.readString(Path.of("/proc/self/stat"));
            // The first one after the name of the program is the third of all; faults the tenth.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            System.out.printf("jobs, page faults in thousands\t%d%n",
                    Long.parseLong(fields[7]) / 1000);
            List<String> status = Files.readAllLines(Path.of("/proc/self/status"));
            for (String line : status) {
                if (line.startsWith("VmHWM:")) {
                    System.out.printf("jobs, peak resident MiB\t%d%n",
                            Long.parseLong(line.replaceAll("\\D", "")) / 1024);
                }
            }
            System.exit(0);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }
}
