package io.e2bridge.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A program started by ProcessBuilder, its output read to the end, and waited for.
 *
 * @param expected what it prints
 */
record ProcessCall(List<String> command, String expected) implements Repeated.Call<String> {
    /** As near to a sandbox as one command line gets: namespaces of its own, a read-only system, private places to write. */
    private static final List<String> BUBBLEWRAP = List.of(
            "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--ro-bind", "/usr", "/usr",
            "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", "--chdir", "/tmp");

    ProcessCall inBubblewrap(Path bubblewrap) {
        List<String> wrapped = new ArrayList<>();
        wrapped.add(bubblewrap.toString());
        wrapped.addAll(BUBBLEWRAP);
        // The program may lie where the sandbox does not see it.
        Path program = Path.of(command.getFirst());
        if (!program.startsWith("/usr")) {
            wrapped.addAll(List.of("--ro-bind", program.toString(), "/tmp/program"));
            wrapped.add("/tmp/program");
        } else {
            wrapped.add(program.toString());
        }
        wrapped.addAll(command.subList(1, command.size()));
        return new ProcessCall(wrapped, expected);
    }

    @Override
    public String make() throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        // What the user's environment makes an interpreter load at its start is not what is measured.
        builder.environment().keySet().retainAll(List.of("PATH", "HOME", "LANG"));
        Process process = builder.start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(command.getFirst() + " ended with " + process.exitValue() + ": " + output.strip());
        }
        return output;
    }

    @Override
    public void check(String answer) {
        if (!answer.strip().equals(expected)) {
            throw new IllegalStateException(command.getFirst() + ": wrong answer " + answer);
        }
    }

    /** {@return where the program is on the PATH, preferring the system's own; null when it is not there} */
    static Path find(String program) {
        List<String> places = new ArrayList<>(List.of("/usr/bin", "/bin"));
        places.addAll(List.of(System.getenv().getOrDefault("PATH", "").split(":")));
        return places.stream().map(place -> Path.of(place, program)).filter(Files::isExecutable).findFirst().orElse(null);
    }
}
