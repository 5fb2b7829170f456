package io.e2bridge.bench;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** The run as one JSON document; times in microseconds. */
final class JsonReport {
    private static final double[] PERCENTILES = {0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100};

    private JsonReport() {}

    static ObjectNode of(Run run) {
        ObjectNode document = JsonNodeFactory.instance.objectNode();
        document.set("machine", run.facts());
        document.set("noise", noise(run.noise()));
        document.put("targets_met", run.withTarget().size() - run.missed().size());
        document.put("targets", run.withTarget().size());
        ArrayNode rows = document.putArray("rows");
        run.results().measured().forEach(row -> rows.add(row(row, run.results())));
        ObjectNode exhaustion = document.putObject("pool_exhaustion_us");
        run.exhaustion().forEach((template, times) -> {
            ArrayNode array = exhaustion.putArray(template);
            for (double time : times) {
                array.add(rounded(time));
            }
        });
        run.versions().forEach(document.putObject("alternatives")::put);
        run.results().skipped().forEach(document.putObject("left_out")::put);
        run.results().failures().forEach(document.putArray("failures")::add);
        return document;
    }

    private static ObjectNode row(Row row, Results results) {
        Series series = results.series(row.id());
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.put("id", row.id()).put("group", row.group()).put("title", row.title()).put("unit", row.unit().symbol()).put("sustained", row.sustained());
        node.put("count", series.count()).put("mean", rounded(series.mean()));
        if (row.unit() == Unit.MICROSECONDS) {
            node.put("per_second", rounded(series.rate()));
        }
        ObjectNode percentiles = node.putObject("percentiles");
        for (double percent : PERCENTILES) {
            percentiles.put(percent == 99.9 ? "p99.9" : "p" + (int) percent, rounded(series.percentile(percent)));
        }
        node.set("block_medians", spread(series.medians()));
        node.set("block_rates", spread(series.rates()));
        if (row.target() != null) {
            node.putObject("target").put("limit", row.target().limit()).put("kind", row.target().rate() ? "per_second_at_least" : "median_at_most")
                    .put("met", row.target().met(series)).put("excess", rounded(row.target().excess(series)));
        }
        if (results.has(row.floor())) {
            node.putObject("floor").put("id", row.floor()).put("ratio", rounded(results.overFloor(row)));
        }
        if (!Double.isNaN(row.elsewhere())) {
            node.put("elsewhere", row.elsewhere());
        }
        ObjectNode against = node.putObject("others_take");
        row.against().stream().filter(results::has).forEach(other -> against.put(other, rounded(results.gainOver(row, other))));
        if (!results.remark(row.id()).isEmpty()) {
            node.put("remark", results.remark(row.id()));
        }
        return node;
    }

    private static ObjectNode noise(Noise.Report noise) {
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.put("noisy", !noise.complaints().isEmpty());
        noise.complaints().forEach(node.putArray("complaints")::add);
        node.set("calibration_ms", spread(noise.calibration()));
        node.set("others_processor_use", spread(noise.busy()));
        return node.put("load_at_start", noise.loadAtStart()).put("load_at_end", noise.loadAtEnd()).put("steal", rounded(noise.steal()));
    }

    private static ObjectNode spread(Series.Spread spread) {
        return JsonNodeFactory.instance.objectNode().put("least", rounded(spread.least())).put("middle", rounded(spread.middle())).put("most", rounded(spread.most()));
    }

    /** Four decimals: finer is not measured, and JSON knows no NaN. */
    private static Double rounded(double value) {
        return Double.isFinite(value) ? Math.round(value * 1e4) / 1e4 : null;
    }
}
