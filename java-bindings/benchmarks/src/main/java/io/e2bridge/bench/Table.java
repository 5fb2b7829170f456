package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** The table, as text for a terminal and as Markdown. */
final class Table {
    private static final List<String> HEADINGS = List.of("operation", "calls", "p50", "p99", "per second", "blocks: least / middle / most", "target", "met", "× floor", "others take");

    /**
     * A line.
     *
     * @param row what it is about
     * @param cells one for each heading
     */
    record Line(Row row, List<String> cells) {}

    private Table() {}

    static List<Line> lines(Results results) {
        return results.measured().stream().map(row -> new Line(row, cells(row, results))).toList();
    }

    private static List<String> cells(Row row, Results results) {
        Series series = results.series(row.id());
        boolean times = row.unit() == Unit.MICROSECONDS;
        Series.Spread spread = row.sustained() ? series.rates() : series.medians();
        return List.of(
                row.title(),
                String.valueOf(series.count()),
                time(row, series.median()),
                time(row, series.percentile(99)),
                times ? Text.number(series.rate()) : "",
                Text.number(spread.least()) + " / " + Text.number(spread.middle()) + " / " + Text.number(spread.most()) + (row.sustained() ? " per s" : ""),
                row.target() == null ? "" : row.target().text(row.unit()),
                met(row, series),
                results.has(row.floor()) ? Text.number(results.overFloor(row)) : "",
                others(row, results));
    }

    private static String time(Row row, double value) {
        return row.unit() == Unit.MICROSECONDS ? Text.number(value) : Text.number(value) + " " + row.unit().symbol();
    }

    private static String met(Row row, Series series) {
        if (row.target() == null) {
            return "";
        }
        return row.target().met(series) ? "yes" : "NO, " + Text.ratio(row.target().excess(series));
    }

    private static String others(Row row, Results results) {
        return row.against().stream()
                .filter(results::has)
                .map(other -> other + " " + Text.ratio(results.gainOver(row, other)))
                .collect(Collectors.joining(", "));
    }

    /** {@return the headings; without alternatives the last column is empty and left out} */
    static List<String> headings(List<Line> lines) {
        boolean alone = lines.stream().allMatch(line -> line.cells().getLast().isEmpty());
        return alone ? HEADINGS.subList(0, HEADINGS.size() - 1) : HEADINGS;
    }

    static String text(Results results) {
        List<Line> lines = lines(results);
        List<String> headings = headings(lines);
        int[] widths = headings.stream().mapToInt(String::length).toArray();
        for (Line line : lines) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], line.cells().get(i).length());
            }
        }
        StringBuilder text = new StringBuilder(textLine(headings, widths));
        String group = "";
        for (Line line : lines) {
            if (!line.row().group().equals(group)) {
                group = line.row().group();
                text.append("\n").append(group).append("\n");
            }
            text.append(textLine(line.cells(), widths));
            String remark = results.remark(line.row().id());
            if (!remark.isEmpty()) {
                text.append("    ").append(remark).append("\n");
            }
        }
        return text.toString();
    }

    private static String textLine(List<String> cells, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            String padding = " ".repeat(widths[i] - cells.get(i).length());
            // Names and comparisons to the left, figures to the right.
            boolean left = i == 0 || i >= 7;
            line.append(left ? cells.get(i) + padding : padding + cells.get(i)).append("  ");
        }
        return line.toString().stripTrailing() + "\n";
    }

    static String markdown(Results results) {
        List<Line> lines = lines(results);
        List<String> headings = headings(lines);
        StringBuilder text = new StringBuilder();
        String group = "";
        for (Line line : lines) {
            if (!line.row().group().equals(group)) {
                group = line.row().group();
                text.append("\n### ").append(group).append("\n\n").append(markdownLine("id", headings)).append("|---|---").append("|---:".repeat(5))
                        .append("|---".repeat(headings.size() - 6)).append("|\n");
            }
            List<String> cells = new ArrayList<>(line.cells().subList(0, headings.size()));
            String remark = results.remark(line.row().id());
            if (!remark.isEmpty()) {
                cells.set(0, cells.getFirst() + " (" + remark + ")");
            }
            text.append(markdownLine("`" + line.row().id() + "`", cells));
        }
        return text.toString();
    }

    private static String markdownLine(String id, List<String> cells) {
        return cells.stream().map(cell -> cell.replace("|", "\\|")).collect(Collectors.joining(" | ", "| " + id + " | ", " |\n"));
    }
}
