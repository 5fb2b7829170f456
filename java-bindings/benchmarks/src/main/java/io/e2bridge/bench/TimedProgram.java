package io.e2bridge.bench;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A program in another process that times its operations itself: it reads lines "OPERATION COUNT" and answers each with the times
 * in nanoseconds, with "lacking TEXT" where this host does not have what it takes, or with "error TEXT". Floors and alternatives in other
 * languages are such programs. It is started by its first operation, and ends with its input.
 */
final class TimedProgram implements AutoCloseable {
    /** This host does not have what the operation takes. */
    static final class LackingException extends IOException {
        private static final long serialVersionUID = 1;

        private LackingException(String answer) {
            super(answer);
        }
    }

    private final List<String> command;
    /** Null until the first operation. */
    private Process process;
    private BufferedWriter requests;
    private BufferedReader answers;

    TimedProgram(List<String> command) {
        this.command = command;
    }

    private void start() throws IOException {
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        requests = process.outputWriter();
        answers = process.inputReader();
    }

    /** {@return the times in microseconds} */
    double[] times(String operation, int count) throws IOException {
        if (process == null) {
            start();
        }
        String answer = ask(operation + " " + count);
        return Arrays.stream(answer.strip().split(" ")).mapToDouble(nanoseconds -> Double.parseDouble(nanoseconds) / 1e3).toArray();
    }

    private String ask(String line) throws IOException {
        requests.write(line + "\n");
        requests.flush();
        String answer = answers.readLine();
        if (answer != null && answer.startsWith("lacking")) {
            throw new LackingException(answer);
        }
        if (answer == null || answer.startsWith("error")) {
            throw new IOException(answer == null ? command.getFirst() + " ended" : answer);
        }
        return answer;
    }

    /** One operation of a program as a measurement. The first block of some operations starts what they need. */
    static Measurement operation(TimedProgram program, String operation, int count, Row row) {
        return new Measurement() {
            @Override
            public List<Row> rows() {
                return List.of(row);
            }

            @Override
            public void block(Effort effort, Results results) throws IOException {
                results.series(row.id()).add(program.times(operation, count));
            }
        };
    }

    @Override
    public void close() throws IOException {
        if (process == null) {
            return;
        }
        requests.close();
        try {
            if (!process.waitFor(5, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
