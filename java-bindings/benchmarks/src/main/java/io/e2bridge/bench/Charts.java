package io.e2bridge.bench;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The page's charts, as SVG that needs nothing from anywhere. Times are on logarithmic scales. */
final class Charts {
    private static final int WIDTH = 900;
    private static final int LEFT = 350;
    private static final int FIGURES = 150;
    private static final int LINE = 30;
    private static final int BINS = 60;
    private static final List<String> COLOURS = List.of("var(--one)", "var(--two)", "var(--three)", "var(--four)");

    private Charts() {}

    /** A logarithmic axis over a range of times. */
    private record Axis(double least, double most, int left, int width) {
        static Axis over(List<Series> all, int left, int width) {
            double least = all.stream().mapToDouble(series -> series.percentile(0.5)).min().orElse(1);
            double most = all.stream().mapToDouble(series -> series.percentile(99)).max().orElse(10);
            return new Axis(Math.pow(10, Math.floor(Math.log10(least))), Math.pow(10, Math.ceil(Math.log10(most * 1.0001))), left, width);
        }

        double at(double value) {
            return left + width * part(value);
        }

        double part(double value) {
            return Math.clamp(Math.log10(value / least) / Math.log10(most / least), 0, 1);
        }

        void draw(StringBuilder page, int height) {
            for (double decade = least; decade <= most * 1.001; decade *= 10) {
                page.append(format("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"16\" y2=\"%d\" stroke=\"var(--line)\"/><text x=\"%.1f\" y=\"11\" text-anchor=\"middle\">%s</text>\n",
                        at(decade), at(decade), height, at(decade), time(decade)));
            }
        }
    }

    /** Of each row how often each time was seen; a mark at p50 and one at p99, and the target as a dashed line. */
    static void distributions(StringBuilder page, List<Row> rows, Results results) {
        Axis axis = Axis.over(rows.stream().map(row -> results.series(row.id())).toList(), LEFT, WIDTH - LEFT - FIGURES);
        int height = 20 + LINE * rows.size();
        begin(page, height, "Distribution of times");
        axis.draw(page, height);
        int y = 20;
        for (Row row : rows) {
            distribution(page, row, results.series(row.id()), axis, y);
            y += LINE;
        }
        page.append("</svg>\n");
    }

    private static void distribution(StringBuilder page, Row row, Series series, Axis axis, int top) {
        int bottom = top + LINE - 5;
        int[] bins = histogram(series.sorted(), axis);
        int most = Arrays.stream(bins).max().orElse(1);
        page.append(format("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 8, bottom - 4, Text.escape(shortened(row.title()))));
        page.append("<path fill=\"var(--one)\" fill-opacity=\".55\" d=\"").append(format("M%d %d", LEFT, bottom));
        for (int bin = 0; bin < BINS; bin++) {
            double height = (LINE - 9) * (double) bins[bin] / most;
            double x = LEFT + axis.width() * (double) bin / BINS;
            page.append(format("L%.1f %.1fL%.1f %.1f", x, bottom - height, x + axis.width() / (double) BINS, bottom - height));
        }
        page.append(format("L%d %dZ\"/>\n", LEFT + axis.width(), bottom));
        mark(page, axis.at(series.median()), top, bottom, "var(--ink)", "");
        mark(page, axis.at(series.percentile(99)), top, bottom, "var(--two)", "");
        if (row.target() != null && !row.target().rate()) {
            mark(page, axis.at(row.target().limit()), top, bottom, "var(--three)", " stroke-dasharray=\"3 2\"");
        }
        page.append(format("<text x=\"%d\" y=\"%d\">%s</text>\n", WIDTH - FIGURES + 8, bottom - 4, time(series.median()) + " / " + time(series.percentile(99))));
    }

    private static void mark(StringBuilder page, double x, int top, int bottom, String colour, String more) {
        page.append(format("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", x, x, top + 2, bottom + 1, colour, more));
    }

    private static int[] histogram(double[] values, Axis axis) {
        int[] bins = new int[BINS];
        for (double value : values) {
            bins[Math.min(BINS - 1, (int) (axis.part(value) * BINS))]++;
        }
        return bins;
    }

    /**
     * Bars beside each other, a group a line: the median of each row.
     *
     * @param names of the bars within a group
     * @param groups heading and one row for each name
     */
    static void bars(StringBuilder page, String label, List<String> names, Map<String, List<Row>> groups, Results results) {
        Axis axis = Axis.over(groups.values().stream().flatMap(List::stream).map(row -> results.series(row.id())).toList(), LEFT, WIDTH - LEFT - FIGURES);
        int bar = 14;
        int height = 20 + groups.size() * (bar * names.size() + 12);
        legend(page, names);
        begin(page, height, label);
        axis.draw(page, height);
        int y = 22;
        for (Map.Entry<String, List<Row>> group : groups.entrySet()) {
            page.append(format("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 8, y + bar, Text.escape(group.getKey())));
            for (int i = 0; i < group.getValue().size(); i++) {
                double median = results.series(group.getValue().get(i).id()).median();
                page.append(format("<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\">%s</text>\n",
                        LEFT, y, Math.max(1, axis.at(median) - LEFT), bar - 2, COLOURS.get(i), axis.at(median) + 5, y + bar - 3, time(median)));
                y += bar;
            }
            y += 12;
        }
        page.append("</svg>\n");
    }

    /** Curves over a common list of positions, from zero upwards. */
    static void curves(StringBuilder page, String label, String[] positions, Map<String, double[]> curves, String unit) {
        int height = 300;
        int bottom = height - 30;
        double most = curves.values().stream().flatMapToDouble(Arrays::stream).max().orElse(1);
        legend(page, List.copyOf(curves.keySet()));
        begin(page, height, label);
        for (int i = 0; i <= 4; i++) {
            double y = bottom - (bottom - 15) * i / 4.0;
            page.append(format("<line x1=\"70\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/><text x=\"62\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                    WIDTH, y, y, y + 4, Text.number(most * i / 4)));
        }
        double step = (WIDTH - 110.0) / Math.max(1, positions.length - 1);
        for (int i = 0; i < positions.length; i++) {
            page.append(format("<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", 90 + step * i, height - 10, Text.escape(positions[i])));
        }
        int colour = 0;
        for (double[] curve : curves.values()) {
            StringBuilder points = new StringBuilder();
            for (int i = 0; i < curve.length; i++) {
                double y = bottom - (bottom - 15) * curve[i] / most;
                points.append(format("%.1f,%.1f ", 90 + step * i, y));
                page.append(format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s %s</title></circle>\n",
                        90 + step * i, y, COLOURS.get(colour), Text.number(curve[i]), unit));
            }
            page.append(format("<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"%s\"/>\n", COLOURS.get(colour), points));
            colour++;
        }
        page.append("</svg>\n");
    }

    private static void legend(StringBuilder page, List<String> names) {
        page.append("<p class=soft>");
        for (int i = 0; i < names.size(); i++) {
            page.append("<span style=\"color:").append(COLOURS.get(i)).append("\">■</span> ").append(Text.escape(names.get(i))).append(" ");
        }
        page.append("</p>\n");
    }

    private static void begin(StringBuilder page, int height, String label) {
        page.append(format("<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, height, Text.escape(label)));
    }

    private static String shortened(String title) {
        return title.length() <= 50 ? title : title.substring(0, 49) + "…";
    }

    static String time(double microseconds) {
        double size = Math.abs(microseconds);
        if (size >= 1e6) {
            return Text.number(microseconds / 1e6) + " s";
        }
        if (size >= 1e3) {
            return Text.number(microseconds / 1e3) + " ms";
        }
        return size >= 1 ? Text.number(microseconds) + " µs" : Text.number(microseconds * 1e3) + " ns";
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
