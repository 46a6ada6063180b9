import java.lang.management.ManagementFactory;
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
        client = clientOf("localhost", cluster.getRestAddress().get().getPort());
    }

    /** What a client needs to know to submit jobs. */
    static Configuration clientOf(String host, int port) {
        Configuration client = new Configuration();
        client.setString("execution.target", "remote");
        client.setString("rest.address", host);
        client.setString("rest.port", String.valueOf(port));
        client.setString("parallelism.default", "2");
        client.setString("restart-strategy.type", "disable");
        return client;
    }

    Configuration client() {
        return new Configuration(client);
    }

    @Override
    public void close() throws Exception {
        cluster.close();
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
