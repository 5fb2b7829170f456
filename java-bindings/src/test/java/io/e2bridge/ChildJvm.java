package io.e2bridge;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A JVM of its own, for what can be tried only once in one or ends it. */
public final class ChildJvm {
    /** Classes of the bindings. */
    public static final Path CLASSES = Path.of(System.getProperty("e2bridge.test.classes"));

    /** Classes of the tests. */
    public static final Path TEST_CLASSES = Path.of(System.getProperty("e2bridge.test.testClasses"));

    /** Root of the repository. */
    public static final Path ROOT = Path.of(System.getProperty("e2bridge.test.root")).normalize();

    private final List<String> before = new ArrayList<>();
    private final List<String> options = new ArrayList<>();
    private Path classes = CLASSES;
    private boolean nativeAccess = true;

    /** What a child left. */
    public record Result(int exitCode, String output) {}

    /** Starts the JVM through another program. */
    public ChildJvm through(String... command) {
        before.addAll(List.of(command));
        return this;
    }

    /** Adds options of java. */
    public ChildJvm options(String... more) {
        options.addAll(List.of(more));
        return this;
    }

    /** Uses other classes of the bindings. */
    public ChildJvm classes(Path directory) {
        classes = directory;
        return this;
    }

    /** Leaves --enable-native-access out. */
    public ChildJvm withoutNativeAccess() {
        nativeAccess = false;
        return this;
    }

    /** {@return options that let a child start children of its own through this class} */
    public static String[] properties() {
        return new String[] {
            "-De2bridge.test.classes=" + CLASSES, "-De2bridge.test.testClasses=" + TEST_CLASSES, "-De2bridge.test.root=" + ROOT
        };
    }

    /** {@return the jars of Jackson} */
    public static List<Path> jackson() {
        try {
            List<Path> jars = new ArrayList<>();
            for (Class<?> one : List.of(
                    com.fasterxml.jackson.databind.JsonNode.class,
                    com.fasterxml.jackson.core.JsonFactory.class,
                    com.fasterxml.jackson.annotation.JsonInclude.class)) {
                jars.add(Path.of(one.getProtectionDomain().getCodeSource().getLocation().toURI()));
            }
            return jars;
        } catch (java.net.URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** {@return the command line} */
    public List<String> command(Class<?> main, String... arguments) {
        List<String> command = new ArrayList<>(before);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("-Xmx512m");
        if (nativeAccess) {
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        command.addAll(options);
        StringBuilder classPath = new StringBuilder(classes + ":" + TEST_CLASSES);
        jackson().forEach(jar -> classPath.append(':').append(jar));
        command.add("-cp");
        command.add(classPath.toString());
        command.add(main.getName());
        command.addAll(List.of(arguments));
        return command;
    }

    /** Runs the program to its end, at most a minute. */
    public Result run(Class<?> main, String... arguments) throws IOException, InterruptedException {
        return run(command(main, arguments));
    }

    /** Runs a command to its end, at most two minutes. */
    public static Result run(List<String> command) throws IOException, InterruptedException {
        return run(command, 2);
    }

    /** Runs a command to its end, at most so many minutes. */
    public static Result run(List<String> command, int minutes) throws IOException, InterruptedException {
        Path output = Files.createTempFile("e2bridge-child", ".txt");
        try {
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
            if (!process.waitFor(minutes, TimeUnit.MINUTES)) {
                process.destroyForcibly().waitFor();
                throw new AssertionError("timed out: " + command + "\n" + Files.readString(output));
            }
            return new Result(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
        } finally {
            Files.delete(output);
        }
    }
}
