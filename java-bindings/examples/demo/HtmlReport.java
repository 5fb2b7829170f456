import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Locale;

/** The demo's report as one HTML page: no script, no font, no image from anywhere else. */
final class HtmlReport {
  private static final int WIDTH = 860;
  /** Room right of the bars for the figures. */
  private static final int FIGURES = 130;

  private HtmlReport() {}

  static String of(List<FunctionRun> runs, JsonNode momentum, JsonNode buyAndHold, JsonNode health, long worked) {
    StringBuilder page = new StringBuilder();
    page.append("""
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>E2Bridge demo</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <style>
        :root { color-scheme: light dark; --ink: #1b1f24; --soft: #5a6472; --line: #d5dae1; --paper: #fff; --one: #0b6bcb; --two: #c2570c; --bad: #b42318; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --soft: #a0a9b5; --line: #39414b; --paper: #14171b; --one: #59a7f2; --two: #f0954c; --bad: #ff8a80; } }
        body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
        table { border-collapse: collapse; width: 100%; font-size: 13px; } td, th { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
        td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
        .failed { color: var(--bad); font-weight: 600; } .soft { color: var(--soft); } svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
        </style></head><body>
        """);
    page.append("<h1>E2Bridge: ten functions on the local engine</h1>\n<p><strong>").append(worked)
        .append(" of 10</strong> functions did their work, on real input, in real sandboxes.");
    if (health != null) {
      JsonNode isolation = health.path("isolation");
      page.append(" Isolation in force: ").append(escape(isolation.path("tier").asText())).append("; memory by ")
          .append(escape(isolation.path("memory").asText())).append(", processes by ").append(escape(isolation.path("processes").asText()))
          .append(", cpu by ").append(escape(isolation.path("cpu").asText())).append('.');
    }
    page.append("</p>\n<table><tr><th>category</th><th>function</th><th>result</th><th class=number>p50 µs</th><th class=number>p99 µs</th>"
        + "<th class=number>per second</th><th class=number>calls</th><th>what it did</th></tr>\n");
    String category = "";
    for (FunctionRun run : runs) {
      page.append("<tr><td>").append(run.category().equals(category) ? "" : escape(run.category())).append("</td><td>").append(escape(run.function()))
          .append(run.worked() ? "</td><td>ok" : "</td><td class=failed>failed");
      number(page, "%.1f", run.percentile(50));
      number(page, "%.1f", run.percentile(99));
      number(page, "%.0f", run.perSecond());
      page.append("</td><td class=number>").append(run.calls()).append("</td><td class=soft>").append(escape(run.details())).append("</td></tr>\n");
      category = run.category();
    }
    page.append("</table>\n<p class=soft>One caller, one call after the other, as the Java caller sees it.</p>\n");
    latencies(page, runs);
    if (momentum != null && buyAndHold != null) {
      equity(page, momentum, buyAndHold);
    }
    return page.append("</body></html>\n").toString();
  }

  private static void number(StringBuilder page, String format, double value) {
    page.append("</td><td class=number>").append(Double.isNaN(value) ? "–" : String.format(Locale.ROOT, format, value));
  }

  /** Horizontal bars from 1 µs on a logarithmic scale: the bar ends at p50, the tick is p99. */
  private static void latencies(StringBuilder page, List<FunctionRun> runs) {
    List<FunctionRun> measured = runs.stream().filter(run -> run.calls() > 0).toList();
    double most = measured.stream().mapToDouble(run -> run.percentile(99)).max().orElse(10);
    double decades = Math.max(1, Math.ceil(Math.log10(most)));
    int left = 170;
    int height = 30 + 26 * measured.size();
    page.append("<h2>Latency per function</h2>\n<p class=soft>Bar: p50, tick: p99; figures: p50 / p99. Logarithmic scale.</p>\n<svg viewBox=\"0 0 ").append(WIDTH).append(' ').append(height)
        .append("\" role=\"img\" aria-label=\"Latency per function\">\n");
    for (int decade = 0; decade <= decades; decade++) {
      double x = left + (WIDTH - left - FIGURES) * decade / decades;
      page.append(String.format(Locale.ROOT, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"18\" y2=\"%d\" stroke=\"var(--line)\"/><text x=\"%.1f\" y=\"12\" text-anchor=\"middle\">%s</text>%n",
          x, x, height, x, unit(Math.pow(10, decade))));
    }
    int y = 24;
    for (FunctionRun run : measured) {
      double p50 = position(run.percentile(50), decades, left);
      double p99 = position(run.percentile(99), decades, left);
      page.append(String.format(Locale.ROOT,
          "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text><rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"var(--one)\"/>"
              + "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"var(--two)\" stroke-width=\"2\"/><text x=\"%.1f\" y=\"%d\">%s</text>%n",
          left - 8, y + 12, escape(run.function()), left, y, Math.max(1, p50 - left), p99, p99, y - 2, y + 16, Math.max(p50, p99) + 5, y + 12, unit(run.percentile(50)) + " / " + unit(run.percentile(99))));
      y += 26;
    }
    page.append("</svg>\n");
  }

  private static double position(double microseconds, double decades, int left) {
    return left + (WIDTH - left - FIGURES) * Math.max(0, Math.log10(microseconds)) / decades;
  }

  private static String unit(double microseconds) {
    if (microseconds >= 1e6) {
      return String.format(Locale.ROOT, "%.3g s", microseconds / 1e6);
    }
    return microseconds >= 1e3 ? String.format(Locale.ROOT, "%.3g ms", microseconds / 1e3) : String.format(Locale.ROOT, "%.3g µs", microseconds);
  }

  /** Both equity curves on one logarithmic axis. */
  private static void equity(StringBuilder page, JsonNode momentum, JsonNode buyAndHold) {
    double[] one = values(momentum.path("equity_curve"));
    double[] two = values(buyAndHold.path("equity_curve"));
    double low = Double.MAX_VALUE;
    double high = 0;
    for (double[] curve : List.of(one, two)) {
      for (double value : curve) {
        low = Math.min(low, value / curve[0]);
        high = Math.max(high, value / curve[0]);
      }
    }
    int height = 340;
    page.append("<h2>S&amp;P 500, 2000 to 2020: momentum against buy and hold</h2>\n<p class=soft>Equity, start = 1, logarithmic scale. "
        + "<span style=\"color:var(--one)\">■</span> momentum <span style=\"color:var(--two)\">■</span> buy and hold</p>\n<svg viewBox=\"0 0 ")
        .append(WIDTH).append(' ').append(height).append("\" role=\"img\" aria-label=\"Equity curves\">\n");
    for (double level : new double[] {low, 1, Math.sqrt(high), high}) {
      double y = vertical(level, low, high, height);
      page.append(String.format(Locale.ROOT, "<line x1=\"50\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/><text x=\"44\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>%n",
          WIDTH, y, y, y + 4, level));
    }
    curve(page, two, "var(--two)", low, high, height);
    curve(page, one, "var(--one)", low, high, height);
    JsonNode dates = momentum.path("dates");
    if (dates.size() > 1) {
      for (int i = 0; i <= 4; i++) {
        int index = (dates.size() - 1) * i / 4;
        page.append(String.format(Locale.ROOT, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>%n",
            Math.min(WIDTH - 36.0, 50 + (WIDTH - 50.0) * index / (dates.size() - 1) + (i == 0 ? 36 : 0)), height - 4, escape(dates.path(index).asText())));
      }
    }
    page.append("</svg>\n");
  }

  private static void curve(StringBuilder page, double[] values, String colour, double low, double high, int height) {
    page.append("<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"").append(colour).append("\" points=\"");
    // More points than pixels would only make the file larger.
    int step = Math.max(1, values.length / WIDTH);
    for (int i = 0; i < values.length; i += step) {
      page.append(String.format(Locale.ROOT, "%.1f,%.1f ", 50 + (WIDTH - 50.0) * i / (values.length - 1), vertical(values[i] / values[0], low, high, height)));
    }
    page.append("\"/>\n");
  }

  private static double vertical(double value, double low, double high, int height) {
    return 10 + (height - 40) * (1 - Math.log(value / low) / Math.log(high / low));
  }

  private static double[] values(JsonNode array) {
    double[] values = new double[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.path(i).asDouble();
    }
    return values;
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
  }
}
