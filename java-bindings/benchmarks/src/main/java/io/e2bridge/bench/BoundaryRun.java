package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs {@link Boundary} under JMH, in a JVM of its own and after the rounds; an iteration is a block with one sample, its mean time. */
final class BoundaryRun {
    private static final Map<String, String> TITLES = new LinkedHashMap<>();

    static {
        TITLES.put("emptyCall", "an empty call");
        TITLES.put("smallestDocument", "a call that answers a small document, parsed");
        TITLES.put("status", "status of a live sandbox, parsed");
        TITLES.put("argumentOf1KiB", "argument of 1 KiB (a file written)");
        TITLES.put("argumentOf1MiB", "argument of 1 MiB (a file written)");
        TITLES.put("resultOf1KiB", "result of 1 KiB (a file read)");
        TITLES.put("resultOf1MiB", "result of 1 MiB (a file read)");
        TITLES.put("outputOf1MiB", "result of 1 MiB (a program's output)");
    }

    private BoundaryRun() {}

    static List<Row> rows() {
        return TITLES.entrySet().stream()
                .map(title -> Row.of("boundary." + title.getKey(), "boundary alone (JMH; a call is an iteration's mean)", title.getValue()))
                .toList();
    }

    static void run(Effort effort, List<Row> rows, Results results) throws RunnerException {
        List<String> names = new ArrayList<>();
        rows.forEach(row -> names.add(row.id().substring("boundary.".length())));
        OptionsBuilder options = new OptionsBuilder();
        names.forEach(name -> options.include(Boundary.class.getName() + "." + name + "$"));
        options.forks(1).verbosity(VerboseMode.SILENT).shouldFailOnError(true)
                .warmupIterations(effort.boundaryIterations() + 1).warmupTime(TimeValue.milliseconds(effort.boundaryMillis()))
                .measurementIterations(effort.boundaryIterations()).measurementTime(TimeValue.milliseconds(effort.boundaryMillis()));
        Collection<RunResult> answers = new Runner(options.build()).run();
        for (RunResult answer : answers) {
            String name = answer.getParams().getBenchmark();
            Series series = results.series("boundary." + name.substring(name.lastIndexOf('.') + 1));
            iterations(answer).forEach(mean -> series.add(new double[] {mean}));
        }
    }

    private static DoubleStream iterations(RunResult answer) {
        return answer.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream())
                .mapToDouble(iteration -> iteration.getPrimaryResult().getScore() / 1e3);
    }
}
