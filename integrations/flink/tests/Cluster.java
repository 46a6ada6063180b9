import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;

/** A cluster in this process, and the numbers of the region that it runs on. */
final class Cluster implements AutoCloseable {
    private final MiniCluster cluster;
    private final Configuration client;

    /** One TaskManager with two slots. */
    Cluster(String managedMemory) throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("taskmanager.memory.managed.size", managedMemory);
        configuration.setString("taskmanager.memory.network.min", "48m");
        configuration.setString("taskmanager.memory.network.max", "48m");
        configuration.setString("rest.bind-port", "0");
        configuration.setString("rest.address", "localhost");
        configuration.setString("restart-strategy.type", "disable");
        cluster =
                new MiniCluster(
                        new MiniClusterConfiguration.Builder()
                                .setConfiguration(configuration)
                                .setNumTaskManagers(1)
                                .setNumSlotsPerTaskManager(2)
                                .build());
        cluster.start();
        client = clientOf(cluster.getRestAddress().get().getPort());
        client.setString("restart-strategy.type", "disable");
    }

    /** What a client needs to know to submit jobs to a cluster on this machine. */
    static Configuration clientOf(int port) {
        Configuration client = new Configuration();
        client.setString("execution.target", "remote");
        client.setString("rest.address", "localhost");
        client.setString("rest.port", String.valueOf(port));
        client.setString("parallelism.default", "2");
        // Otherwise Flink takes one task for as little data as ours.
        client.setString("table.exec.resource.default-parallelism", "2");
        return client;
    }

    Configuration client() {
        return new Configuration(client);
    }

    @Override
    public void close() throws Exception {
        cluster.close();
    }

    /** What the REST interface of a cluster on this machine answers. */
    static String read(int port, String path) throws IOException {
        try (InputStream in = new URL("http://localhost:" + port + path).openStream()) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** The names of the TaskManagers. */
    static List<String> taskManagers(int port) throws IOException {
        Matcher id = Pattern.compile("\"id\":\"([^\"]+)\"").matcher(read(port, "/taskmanagers"));
        return id.results().map(result -> result.group(1)).collect(Collectors.toList());
    }

    /** A number of the region among the metrics of a TaskManager, or -1 while it is not there. */
    static long metric(int port, String taskManager, String name) throws IOException {
        String path = "/taskmanagers/" + taskManager + "/metrics?get=Status.offheap." + name;
        Matcher value = Pattern.compile("\"value\":\"(\\d+)\"").matcher(read(port, path));
        return value.find() ? Long.parseLong(value.group(1)) : -1;
    }

    int port() {
        return Integer.parseInt(client.toMap().get("rest.port"));
    }

    /** A number of the region, over JMX. */
    static long number(String name) throws Exception {
        return (Long) attribute(name);
    }

    /** An attribute of the region, over JMX. */
    static Object attribute(String name) throws Exception {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        return server.getAttribute(new ObjectName("offheap.flink:type=Region"), name);
    }
}
