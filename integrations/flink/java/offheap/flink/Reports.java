package offheap.flink;

import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongSupplier;
import javax.management.JMException;
import javax.management.ObjectName;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;

/** The numbers: over JMX, among Flink's metrics, and as a line when the process ends. */
public final class Reports implements OffheapMXBean {
    private static final Reports INSTANCE = new Reports();

    /** Whether there are numbers: to ask for them before does not open the region. */
    private static volatile boolean isStarted;

    private Reports() {}

    /** Registers the bean and what else the settings ask for. */
    static void start(Settings settings) {
        try {
            ManagementFactory.getPlatformMBeanServer()
                    .registerMBean(INSTANCE, new ObjectName("offheap.flink:type=Region"));
        } catch (JMException | RuntimeException e) {
            Log.warn("the numbers are not to be had over JMX: " + e);
        }
        Holders.configure(settings);
        isStarted = true;
        if (settings.report()) {
            Runtime.getRuntime()
                    .addShutdownHook(new Thread(() -> Log.print(line()), "offheap-report"));
        }
        if (settings.returnsIdleMemory()) {
            long every = settings.idleEveryMillis();
            Thread thread = new Thread(() -> flushEvery(every), "offheap-flush");
            thread.setDaemon(true);
            thread.start();
        }
    }

    /** Free pages at hand are idle, too: the library gives memory back that it knows of. */
    private static void flushEvery(long millis) {
        try {
            while (true) {
                Thread.sleep(millis);
                Pages.flushShelves();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** All counters in one line, {@code name=number} each. */
    static String line() {
        StringBuilder line = new StringBuilder();
        numbers().forEach((name, number) ->
                line.append(line.length() == 0 ? "" : " ")
                        .append(name).append('=').append(number.getAsLong()));
        return line.toString();
    }

    private static Map<String, LongSupplier> numbers() {
        Map<String, LongSupplier> numbers = new TreeMap<>();
        numbers.put("served", INSTANCE::getServed);
        numbers.put("returned", INSTANCE::getReturned);
        numbers.put("fallbacks", INSTANCE::getFallbacks);
        numbers.put("fallbacksReturned", INSTANCE::getFallbacksReturned);
        numbers.put("foreign", INSTANCE::getForeign);
        numbers.put("inUseBytes", INSTANCE::getInUseBytes);
        numbers.put("peakBytes", INSTANCE::getPeakBytes);
        numbers.put("regionBytes", INSTANCE::getRegionBytes);
        numbers.put("residentBytes", INSTANCE::getResidentBytes);
        numbers.put("issued", INSTANCE::getIssued);
        numbers.put("issuedInRegion", INSTANCE::getIssuedInRegion);
        numbers.put("refusals", INSTANCE::getRefusals);
        return numbers;
    }

    /**
     * Adds the numbers to the metrics of a TaskManager: the agent puts this where Flink registers
     * its own memory metrics.
     */
    public static void register(MetricGroup status) {
        try {
            MetricGroup group = status.addGroup("offheap");
            numbers().forEach((name, number) ->
                    group.gauge(name, (Gauge<Long>) () -> isStarted ? number.getAsLong() : 0L));
        } catch (RuntimeException | LinkageError e) {
            Log.warn("the numbers are not among Flink's metrics: " + e, e);
        }
    }

    @Override
    public long getServed() {
        return Pages.served();
    }

    @Override
    public long getReturned() {
        return Pages.returned();
    }

    @Override
    public long getFallbacks() {
        return Fallbacks.allocated();
    }

    @Override
    public long getFallbacksReturned() {
        return Fallbacks.returned();
    }

    @Override
    public long getForeign() {
        return Pages.foreign();
    }

    @Override
    public long getInUseBytes() {
        return Pages.inUse() * Pages.PAGE_BYTES;
    }

    @Override
    public long getPeakBytes() {
        return Pages.peakInUse() * Pages.PAGE_BYTES;
    }

    @Override
    public long getRegionBytes() {
        return Pages.regionBytes();
    }

    @Override
    public long getResidentBytes() {
        return stat(Native.RESIDENT_BYTES);
    }

    @Override
    public long getAtHandBytes() {
        return Pages.atHand() * Pages.PAGE_BYTES;
    }

    @Override
    public long getIdleBytes() {
        return stat(Native.IDLE_BYTES);
    }

    @Override
    public long getGivenBackBytes() {
        return stat(Native.GIVEN_BACK_BYTES);
    }

    @Override
    public long getPageBytes() {
        return Pages.PAGE_BYTES;
    }

    @Override
    public long getIssued() {
        return Verify.issued();
    }

    @Override
    public long getIssuedInRegion() {
        return Verify.inRegion();
    }

    @Override
    public long getIssuedAligned() {
        return Verify.aligned();
    }

    @Override
    public long getRefusals() {
        return Holders.refusals();
    }

    @Override
    public String getLastRefusal() {
        return Holders.lastRefusal();
    }

    @Override
    public String holders() {
        return Holders.describe();
    }

    @Override
    public long trim() {
        Pages.flushShelves();
        return Pages.regionBytes() == 0 ? 0 : Native.trim(0);
    }

    private static long stat(int which) {
        return Pages.regionBytes() == 0 ? 0 : Native.stat(which);
    }
}
