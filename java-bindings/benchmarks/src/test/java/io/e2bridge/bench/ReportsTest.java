package io.e2bridge.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.io.StringReader;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.xml.sax.InputSource;

/** Every report of one run whose samples are known. */
class ReportsTest {
    private static final Noise.Report QUIET = noise(1.1);

    private static Noise.Report noise(double calibration) {
        return new Noise.Report(new Series.Spread(1, 1, calibration), new Series.Spread(0, 0.01, 0.02), 0.5, 0.7, 0);
    }

    private static Run run(Noise.Report noise) {
        Results results = new Results();
        sample(results, Row.of("quick", "ours", "a <quick> | call").atMost(10).over("floor").against("slow", "absent"), 4, 5, 6, 7, 8, 90);
        sample(results, Row.of("late", "ours", "a late call").atMost(2), 5, 5, 5, 5, 5, 5);
        results.declare(Row.of("load", "ours", "under load").underLoad().atLeastPerSecond(100).over("floor"));
        results.series("load").add(new double[] {20_000, 20_000, 20_000, 20_000, 20_000, 20_000}, 0.05);
        sample(results, Row.of("space", "ours", "memory").in(Unit.MEBIBYTES).atMost(1), 0.5);
        sample(results, Row.of("floor", "theirs", "floor").elsewhere(0.8), 2, 2, 2, 2, 2, 2);
        sample(results, Row.of("slow", "theirs", "slow"), 600, 600, 600, 600, 600, 600);
        results.declare(Row.of("never", "theirs", "never measured"));
        results.remark("quick", "as expected");
        results.skip("absent", "cannot be had");
        return new Run(Effort.QUICK, JsonNodeFactory.instance.objectNode(), results, noise, Map.of("base", new double[] {1, 2, 300}), Map.of("slow", "1.0"));
    }

    private static void sample(Results results, Row row, double... samples) {
        results.declare(row);
        results.series(row.id()).add(samples);
    }

    @Test
    void theTableHoldsFiguresTargetsAndRatios() {
        List<Table.Line> lines = Table.lines(run(QUIET).results());
        assertEquals(List.of("a <quick> | call", "6", "6", "90", "50,000", "6 / 6 / 6", "≤ 10", "yes", "3", "slow 100×"), lines.get(0).cells());
        assertEquals("NO, 2.50×", lines.get(1).cells().get(7));
        assertEquals(List.of("under load", "6", "20,000", "20,000", "120", "120 / 120 / 120 per s", "≥ 100/s", "yes", "4,167", ""), lines.get(2).cells());
        assertEquals("0.500 MiB", lines.get(3).cells().get(2));
        assertEquals("", lines.get(3).cells().get(4));
        assertEquals(6, lines.size());
    }

    @Test
    void theTextIsAlignedAndSaysWhatWasMissed() {
        String text = Summary.text(run(QUIET));
        String[] lines = text.strip().split("\n");
        int column = lines[0].indexOf("p50") + 3;
        assertTrue(lines[3].startsWith("a <quick>") && lines[3].substring(0, column).endsWith(" 6"), text);
        assertTrue(text.contains("targets: 3 of 4 targets met; missed: late 2.50×"), text);
        assertTrue(text.contains("against the machine that the targets were set on, this one takes: floor 2.50×\n"), text);
        assertTrue(text.contains("left out: absent: cannot be had"), text);
        assertTrue(text.contains("noise: a quiet machine"), text);
    }

    @Test
    void aNoisyMachineIsNamed() {
        assertTrue(Summary.text(run(noise(1.5))).contains("A NOISY MACHINE, trust ratios only: the same work took up to 1.50×"));
    }

    @Test
    void markdownHasAsManyCellsAsHeadings() {
        String markdown = Table.markdown(run(QUIET).results());
        List<String> lines = markdown.lines().filter(line -> line.startsWith("|")).toList();
        lines.forEach(line -> assertEquals(12, line.replace("\\|", "").chars().filter(c -> c == '|').count(), line));
        assertTrue(markdown.contains("| `quick` | a <quick> \\| call (as expected) | 6 |"), markdown);
    }

    @Test
    void onlyTheMarkedPartOfADocumentIsReplaced() {
        String document = "before\n" + Summary.BEGIN + "\nold\n" + Summary.END + "\nafter\n";
        assertEquals("before\n" + Summary.BEGIN + "\nnew\n" + Summary.END + "\nafter\n", Summary.replaceMarked(document, "new\n"));
        assertThrows(IllegalArgumentException.class, () -> Summary.replaceMarked("without marks", "new"));
    }

    @Test
    void jsonSaysTheSame() throws Exception {
        JsonNode document = new ObjectMapper().readTree(JsonReport.of(run(QUIET)).toString());
        JsonNode quick = document.path("rows").path(0);
        assertEquals("quick", quick.path("id").asText());
        assertEquals(6, quick.path("percentiles").path("p50").asDouble());
        assertEquals(90, quick.path("percentiles").path("p99.9").asDouble());
        assertEquals(3, quick.path("floor").path("ratio").asDouble());
        assertTrue(quick.path("elsewhere").isMissingNode());
        assertEquals(0.8, document.path("rows").path(4).path("elsewhere").asDouble());
        assertEquals(100, quick.path("others_take").path("slow").asDouble());
        assertTrue(quick.path("target").path("met").isBoolean());
        assertFalse(document.path("rows").path(1).path("target").path("met").asBoolean());
        assertEquals(120, document.path("rows").path(2).path("per_second").asDouble());
        assertEquals(300, document.path("pool_exhaustion_us").path("base").path(2).asDouble());
        assertFalse(document.path("noise").path("noisy").asBoolean());
        assertEquals("cannot be had", document.path("left_out").path("absent").asText());
    }

    @Test
    void thePageStandsAloneAndItsChartsAreWellFormed() throws Exception {
        String page = Page.of(run(QUIET));
        assertFalse(page.contains("NaN") || page.contains("Infinity"), page);
        assertFalse(page.contains("src=") || page.contains("href=") || page.contains("url(") || page.contains("<script"), page);
        assertTrue(page.contains("a &lt;quick&gt; | call"), page);
        int charts = 0;
        for (int at = page.indexOf("<svg"); at >= 0; at = page.indexOf("<svg", at + 1)) {
            String chart = page.substring(at, page.indexOf("</svg>", at) + 6);
            DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(chart)));
            charts++;
        }
        assertEquals(3, charts);
    }

    @Test
    void figuresHaveThreeDigitsAndNoExponent() {
        assertEquals("0.012", Text.number(0.0123));
        assertEquals("1.23", Text.number(1.234));
        assertEquals("12.3", Text.number(12.34));
        assertEquals("123", Text.number(123.4));
        assertEquals("1,234,567", Text.number(1234567.1));
        assertEquals("100", Text.number(99.96));
        assertEquals("10.0", Text.number(9.996));
        assertEquals("7", Text.number(7));
        assertEquals("–", Text.number(Double.NaN));
    }
}
