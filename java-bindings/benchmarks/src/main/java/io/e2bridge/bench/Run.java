package io.e2bridge.bench;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;

/**
 * A finished run, as all reports take it.
 *
 * @param effort how much was done
 * @param facts on what it was made
 * @param results the samples
 * @param noise how quiet the machine was
 * @param exhaustion by template the median time of the first, second, … create taken at once, in µs
 * @param versions of the alternatives
 */
record Run(Effort effort, ObjectNode facts, Results results, Noise.Report noise, Map<String, double[]> exhaustion, Map<String, String> versions) {
    List<Row> withTarget() {
        return results.measured().stream().filter(row -> row.target() != null).toList();
    }

    List<Row> missed() {
        return withTarget().stream().filter(row -> !row.target().met(results.series(row.id()))).toList();
    }

    String verdict() {
        return (withTarget().size() - missed().size()) + " of " + withTarget().size() + " targets met";
    }
}
