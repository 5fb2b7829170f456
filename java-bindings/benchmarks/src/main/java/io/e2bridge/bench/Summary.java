package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** What is said around the table: machine, noise, what was left out; as text and as Markdown. */
final class Summary {
    static final String BEGIN = "<!-- written by scripts/bench --doc: begin -->";
    static final String END = "<!-- written by scripts/bench --doc: end -->";

    private Summary() {}

    static String text(Run run) {
        StringBuilder text = new StringBuilder("\n");
        text.append(Table.text(run.results())).append("\nTimes in µs, one caller unless said; \"others take\": how many times as long. ")
                .append("Blocks: medians of the blocks, or their rates.\n");
        head(run).forEach(line -> text.append(line).append("\n"));
        return text.toString();
    }

    static String markdown(Run run) {
        return "\n" + head(run).stream().map(line -> "- " + line).collect(Collectors.joining("\n")) + "\n" + Table.markdown(run.results()) + "\n";
    }

    /** {@return sentences about the run} */
    static List<String> head(Run run) {
        List<String> lines = new ArrayList<>();
        lines.add("machine: " + Facts.text(run.facts()));
        List<String> complaints = run.noise().complaints();
        lines.add("noise: " + (complaints.isEmpty() ? "a quiet machine" : "A NOISY MACHINE, trust ratios only: " + String.join("; ", complaints)) + "; "
                + run.noise().text());
        String slower = run.results().measured().stream()
                .filter(row -> !Double.isNaN(row.elsewhere()))
                .map(row -> row.id() + " " + Text.ratio(run.results().series(row.id()).median() / row.elsewhere()))
                .collect(Collectors.joining(", "));
        if (!slower.isEmpty()) {
            lines.add("against the machine that the targets were set on, this one takes: " + slower);
        }
        run.versions().forEach((name, version) -> lines.add("alternative: " + name + ": " + version));
        run.results().skipped().forEach((what, reason) -> lines.add("left out: " + what + ": " + reason));
        run.results().failures().forEach(failure -> lines.add("FAILED: " + failure));
        lines.add("targets: " + run.verdict() + (run.missed().isEmpty() ? "" : "; missed: " + run.missed().stream()
                .map(row -> row.id() + " " + Text.ratio(row.target().excess(run.results().series(row.id()))))
                .collect(Collectors.joining(", "))));
        return lines;
    }

    /** {@return the document with what is between the two marks replaced} */
    static String replaceMarked(String document, String content) {
        int begin = document.indexOf(BEGIN);
        int end = document.indexOf(END);
        if (begin < 0 || end < begin) {
            throw new IllegalArgumentException("the document lacks the lines " + BEGIN + " and " + END);
        }
        return document.substring(0, begin + BEGIN.length()) + "\n" + content + document.substring(end);
    }
}
