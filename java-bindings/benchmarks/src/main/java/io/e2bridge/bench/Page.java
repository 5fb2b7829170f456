package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** The run as one HTML page: no script, no font, no image from anywhere else. */
final class Page {
    private static final String HEAD = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>E2Bridge benchmark</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <style>
            :root { color-scheme: light dark; --ink: #1b1f24; --soft: #5a6472; --line: #d5dae1; --paper: #fff; --one: #0b6bcb; --two: #c2570c; --three: #1a7f4b; --four: #7a3fb0; --bad: #b42318; }
            @media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --soft: #a0a9b5; --line: #39414b; --paper: #14171b; --one: #59a7f2; --two: #f0954c; --three: #5cc48d; --four: #bd93e8; --bad: #ff8a80; } }
            body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
            h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.4rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
            .wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 13px; } td, th { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; font-variant-numeric: tabular-nums; }
            td:first-child, th:first-child, td:last-child, th:last-child { text-align: left; } th.group { padding-top: 1rem; }
            .missed { color: var(--bad); font-weight: 600; } .soft { color: var(--soft); font-size: 13px; } svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
            </style></head><body>
            """;

    private Page() {}

    static String of(Run run) {
        StringBuilder page = new StringBuilder(HEAD).append("<h1>E2Bridge benchmark: ").append(Text.escape(run.verdict())).append("</h1>\n<ul class=soft>\n");
        Summary.head(run).forEach(line -> page.append("<li>").append(Text.escape(line)).append("</li>\n"));
        page.append("</ul>\n");
        table(page, run.results());
        distributions(page, run.results());
        throughput(page, run.results());
        warmAndCold(page, run.results());
        exhaustion(page, run.exhaustion());
        growth(page, Growth.curves(run.effort(), run.results()), run.effort());
        return page.append("</body></html>\n").toString();
    }

    private static void table(StringBuilder page, Results results) {
        page.append("<h2>Table</h2>\n<p class=soft>Times in µs, one caller unless said. Blocks: least, middle and largest median of the blocks, or their rates. "
                + "Others take: how many times as long.</p>\n<div class=wide><table>\n<tr>");
        List<Table.Line> lines = Table.lines(results);
        List<String> headings = Table.headings(lines);
        headings.forEach(heading -> page.append("<th>").append(Text.escape(heading)).append("</th>"));
        page.append("</tr>\n");
        String group = "";
        for (Table.Line line : lines) {
            if (!line.row().group().equals(group)) {
                group = line.row().group();
                page.append("<tr><th class=group colspan=").append(headings.size()).append('>').append(Text.escape(group)).append("</th></tr>\n");
            }
            page.append("<tr title=\"").append(Text.escape(line.row().id())).append("\">");
            for (String cell : line.cells().subList(0, headings.size())) {
                page.append(cell.startsWith("NO") ? "<td class=missed>" : "<td>").append(Text.escape(cell)).append("</td>");
            }
            page.append("</tr>\n");
            String remark = results.remark(line.row().id());
            if (!remark.isEmpty()) {
                page.append("<tr><td class=soft colspan=").append(headings.size()).append('>').append(Text.escape(remark)).append("</td></tr>\n");
            }
        }
        page.append("</table></div>\n");
    }

    private static void distributions(StringBuilder page, Results results) {
        List<Row> times = results.measured().stream().filter(row -> row.unit() == Unit.MICROSECONDS && results.series(row.id()).count() > 4).toList();
        if (times.isEmpty()) {
            return;
        }
        page.append("<h2>Distribution of times</h2>\n<p class=soft>How often each time was seen; dark mark and first figure p50, orange mark and second figure p99, "
                + "dashed green the target. Logarithmic scale.</p>\n");
        Map<String, List<Row>> groups = new LinkedHashMap<>();
        times.forEach(row -> groups.computeIfAbsent(row.group(), name -> new ArrayList<>()).add(row));
        groups.forEach((group, rows) -> {
            page.append("<h3>").append(Text.escape(group)).append("</h3>\n");
            Charts.distributions(page, rows, results);
        });
    }

    private static void throughput(StringBuilder page, Results results) {
        Map<String, double[]> curves = new LinkedHashMap<>();
        for (Snippet snippet : Catalogue.SNIPPETS) {
            if (Arrays.stream(Catalogue.CALLERS).allMatch(callers -> results.has(cycle(snippet, callers)))) {
                curves.put(snippet.label(), Arrays.stream(Catalogue.CALLERS).mapToDouble(callers -> results.series(cycle(snippet, callers)).rate()).toArray());
            }
        }
        if (!curves.isEmpty()) {
            page.append("<h2>Throughput over callers</h2>\n<p class=soft>Sandboxes created, used once and terminated, per second.</p>\n");
            Charts.curves(page, "Throughput over callers", Arrays.stream(Catalogue.CALLERS).mapToObj(String::valueOf).toArray(String[]::new), curves, "per second");
        }
    }

    private static String cycle(Snippet snippet, int callers) {
        return "cycle." + snippet.label() + "." + callers;
    }

    private static void warmAndCold(StringBuilder page, Results results) {
        Map<String, List<Row>> groups = new LinkedHashMap<>();
        for (Snippet snippet : Catalogue.SNIPPETS) {
            pair(groups, snippet.template() + ": create", "create." + snippet.template() + ".pooled", "create." + snippet.template() + ".cold", results);
            pair(groups, snippet.template() + ": first run", "first." + snippet.label(), "first." + snippet.label() + ".cold", results);
        }
        if (!groups.isEmpty()) {
            page.append("<h2>Warm against cold</h2>\n");
            Charts.bars(page, "Warm against cold", List.of("from the pool", "pool empty"), groups, results);
        }
    }

    private static void pair(Map<String, List<Row>> groups, String name, String warm, String cold, Results results) {
        if (results.has(warm) && results.has(cold)) {
            groups.put(name, List.of(results.row(warm), results.row(cold)));
        }
    }

    private static void growth(StringBuilder page, Map<String, double[]> curves, Effort effort) {
        curves.forEach((operation, medians) -> {
            page.append("<h2>Growth: ").append(operation).append("</h2>\n<p class=soft>Median time, µs, over the number of live sandboxes.</p>\n");
            Charts.curves(page, "Growth: " + operation, effort.live().stream().map(String::valueOf).toArray(String[]::new), Map.of(operation, medians), "µs");
        });
    }

    private static void exhaustion(StringBuilder page, Map<String, double[]> byTemplate) {
        byTemplate.forEach((template, times) -> {
            if (times.length > 0) {
                page.append("<h2>Pool of ").append(template).append(": more taken at once than it holds</h2>\n<p class=soft>Median time of the first, second, … create, µs.</p>\n");
                Charts.curves(page, "Create by position", IntStream.rangeClosed(1, times.length).mapToObj(String::valueOf).toArray(String[]::new),
                        Map.of("create", times), "µs");
            }
        });
    }
}
