import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/** Jobs in SQL whose operators live on managed memory, each with the answer computed elsewhere. */
final class Jobs {
    private static final long GROUPS = 150_001;
    private static final long SORTED_MODULUS = 1_000_003;

    private final Configuration cluster;
    private final long rows;

    /** Jobs over {@code rows} rows, for the cluster that is configured. */
    Jobs(Configuration cluster, long rows) {
        this.cluster = cluster;
        this.rows = rows;
    }

    /** Runs all of them; throws if an answer is wrong. */
    void runAll() throws Exception {
        hashAggregate();
        hashJoin();
        sortMergeJoin();
        orderBy();
    }

    void hashAggregate() throws Exception {
        TableEnvironment tables = tables("SortAgg");
        long[] counts = new long[(int) GROUPS];
        long[] sums = new long[(int) GROUPS];
        for (long id = 0; id < rows; id++) {
            int group = (int) (id * 7919 % GROUPS);
            counts[group]++;
            sums[group] += id;
        }
        long groups = 0;
        long weighed = 0;
        long mixed = 0;
        for (int group = 0; group < GROUPS; group++) {
            groups += counts[group] > 0 ? 1 : 0;
            weighed += counts[group] * (group + 1);
            mixed += sums[group] % 10_007 * (group % 101);
        }
        expect(
                "hash aggregate",
                tables,
                "HashAggregate(",
                "SELECT COUNT(*), SUM(c * (g + 1)),"
                        + " SUM(CAST(MOD(s, 10007) AS BIGINT) * MOD(g, 101)) FROM ("
                        + "SELECT MOD(id * 7919, " + GROUPS + ") AS g, COUNT(*) AS c, SUM(id) AS s"
                        + " FROM numbers GROUP BY MOD(id * 7919, " + GROUPS + "))",
                groups, weighed, mixed);
    }

    void hashJoin() throws Exception {
        join("hash join", "HashJoin(", "NestedLoopJoin,SortMergeJoin,BroadcastHashJoin,SortAgg");
    }

    void sortMergeJoin() throws Exception {
        join(
                "sort-merge join",
                "SortMergeJoin(",
                "NestedLoopJoin,ShuffleHashJoin,BroadcastHashJoin,SortAgg");
    }

    private void join(String name, String operator, String disabled) throws Exception {
        TableEnvironment tables = tables(disabled);
        long keys = rows / 4;
        long count = 0;
        long sum = 0;
        for (long id = 0; id < rows; id++) {
            long key = id * 31 % keys;
            // The other side has each key of three as often as there are multiples of it.
            if (key % 3 == 0) {
                count++;
                sum += id % 1009 * (key / 3 % 997);
            }
        }
        expect(
                name,
                tables,
                operator,
                "SELECT COUNT(*), SUM(CAST(MOD(l.id, 1009) AS BIGINT) * MOD(r.id, 997))"
                        + " FROM (SELECT id, MOD(id * 31, " + keys + ") AS k FROM numbers) l"
                        + " JOIN (SELECT id, id * 3 AS k FROM numbers) r ON l.k = r.k",
                count, sum);
    }

    void orderBy() throws Exception {
        TableEnvironment tables = tables("SortAgg");
        long sorted = rows / 5;
        List<String> expected = new ArrayList<>();
        for (long id = 0; id < rows; id++) {
            if (id % 5 == 0) {
                expected.add(String.format("%060d", id * 7919 % SORTED_MODULUS));
            }
        }
        expected.sort(null);
        String query =
                "SELECT LPAD(CAST(MOD(id * 7919, " + SORTED_MODULUS + ") AS STRING), 60, '0') AS s"
                        + " FROM numbers WHERE MOD(id, 5) = 0 ORDER BY s";
        expectPlan("order by", tables, "Sort(orderBy=", query);
        int at = 0;
        try (CloseableIterator<Row> found = tables.executeSql(query).collect()) {
            while (found.hasNext()) {
                String value = (String) found.next().getField(0);
                if (at >= sorted || !expected.get(at).equals(value)) {
                    throw new AssertionError("order by: row " + at + " is " + value);
                }
                at++;
            }
        }
        if (at != expected.size()) {
            throw new AssertionError("order by: " + at + " rows, not " + expected.size());
        }
        System.out.println("order by: " + at + " rows in order");
    }

    private TableEnvironment tables(String disabledOperators) {
        Configuration configuration = new Configuration(cluster);
        configuration.setString("table.exec.disabled-operators", disabledOperators);
        // One phase: all groups meet in one operator.
        configuration.setString("table.optimizer.agg-phase-strategy", "ONE_PHASE");
        TableEnvironment tables =
                TableEnvironment.create(
                        EnvironmentSettings.newInstance()
                                .inBatchMode()
                                .withConfiguration(configuration)
                                .build());
        tables.executeSql(
                "CREATE TEMPORARY TABLE numbers (id BIGINT) WITH ('connector' = 'datagen',"
                        + " 'rows-per-second' = '1000000000', 'number-of-rows' = '" + rows + "',"
                        + " 'fields.id.kind' = 'sequence',"
                        + " 'fields.id.start' = '0', 'fields.id.end' = '" + (rows - 1) + "')");
        return tables;
    }

    private static void expectPlan(
            String name, TableEnvironment tables, String operator, String query) {
        String plan = tables.explainSql(query);
        if (!plan.contains(operator)) {
            throw new AssertionError(name + ": no " + operator + " in the plan\n" + plan);
        }
    }

    private static void expect(
            String name, TableEnvironment tables, String operator, String query, Object... expected)
            throws Exception {
        expectPlan(name, tables, operator, query);
        try (CloseableIterator<Row> found = tables.executeSql(query).collect()) {
            Row row = found.next();
            Object[] values = new Object[row.getArity()];
            Arrays.setAll(values, row::getField);
            if (!Arrays.equals(values, expected) || found.hasNext()) {
                throw new AssertionError(
                        name + ": " + row + ", not " + Arrays.toString(expected));
            }
            System.out.println(name + ": " + row);
        }
    }
}
