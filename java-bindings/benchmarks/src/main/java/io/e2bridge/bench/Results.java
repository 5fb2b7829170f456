package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What was measured: rows in the order of the table, each with its samples. */
final class Results {
    private final Map<String, Row> rows = new LinkedHashMap<>();
    private final Map<String, Series> series = new LinkedHashMap<>();
    private final Map<String, String> remarks = new LinkedHashMap<>();
    private final Map<String, String> skipped = new LinkedHashMap<>();
    private final List<String> failures = new ArrayList<>();

    void declare(Row row) {
        if (rows.put(row.id(), row) != null) {
            throw new IllegalStateException("two rows " + row.id());
        }
        series.put(row.id(), new Series());
    }

    Series series(String id) {
        return series.get(id);
    }

    Row row(String id) {
        return rows.get(id);
    }

    /** {@return the rows that have samples} */
    List<Row> measured() {
        return rows.values().stream().filter(row -> !series.get(row.id()).isEmpty()).toList();
    }

    boolean has(String id) {
        return id != null && series.containsKey(id) && !series.get(id).isEmpty();
    }

    /** Forgets all samples, as after a round that only warmed up. */
    void clear() {
        series.replaceAll((id, old) -> new Series());
        remarks.clear();
    }

    /** Says something about a row, instead of what was said before. */
    void remark(String id, String text) {
        remarks.put(id, text);
    }

    String remark(String id) {
        return remarks.getOrDefault(id, "");
    }

    void skip(String what, String reason) {
        skipped.put(what, reason);
    }

    Map<String, String> skipped() {
        return skipped;
    }

    void fail(String message) {
        failures.add(message);
    }

    List<String> failures() {
        return failures;
    }

    /** {@return how many times the floor, or NaN} */
    double overFloor(Row row) {
        return has(row.floor()) ? figure(row, row.id()) / figure(row, row.floor()) : Double.NaN;
    }

    /** {@return how many times longer the other way takes, or NaN} */
    double gainOver(Row row, String other) {
        return has(other) && has(row.id()) ? figure(row, other) / figure(row, row.id()) : Double.NaN;
    }

    /** A median, or under load the mean time between two calls. */
    private double figure(Row row, String id) {
        Series of = series.get(id);
        return row.sustained() ? 1e6 / of.rate() : of.median();
    }
}
