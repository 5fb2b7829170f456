package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every example compiles, runs, and prints what it promises. */
@Timeout(180)
class ExamplesTest {
    private static final Path EXAMPLES = ChildJvm.ROOT.resolve("java-bindings/examples");

    private static final Map<String, List<String>> OUTPUT = Map.of(
            "KellyInJavaScript", List.of("fraction 0.325", "bet 3250 of 10000", "nothing is kept: ReferenceError", "in a context it is: 3250"),
            "ExecuteProcess", List.of("squares: 1 4 9", "arguments as they are: $HOME * a b", "exit code: 3", "timed out: true", "refused: timeout, true"),
            "MomentumOnPrices", List.of("buy_and_hold completed: total return 20.8 %", "momentum completed: total return"),
            "DeployAndScale", List.of("hello world\nhello world\n", "scaled from 2 to 4", "ended"),
            "FilesInAndOut", List.of("/home/user/highest.txt: 2024-01-03,110"),
            "VirtualThreads", List.of("sum of 40 squares: 22140", "sandboxes left: 0"));

    private static String classPath() {
        StringBuilder classPath = new StringBuilder(ChildJvm.CLASSES.toString());
        ChildJvm.jackson().forEach(jar -> classPath.append(':').append(jar));
        return classPath.toString();
    }

    static Stream<String> names() {
        return OUTPUT.keySet().stream().sorted();
    }

    @Test
    void everyExampleIsTested() throws Exception {
        TreeSet<String> found = new TreeSet<>();
        try (Stream<Path> files = Files.list(EXAMPLES)) {
            files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".java"))
                    .forEach(name -> found.add(name.replace(".java", "")));
        }
        assertEquals(new TreeSet<>(OUTPUT.keySet()), found);
    }

    @Test
    void everyExampleAndTheDemoCompileWithoutAWarning(@TempDir Path directory) throws Exception {
        for (Path root : List.of(EXAMPLES, EXAMPLES.resolve("demo"))) {
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "javac").toString(), "--release", "22", "-Xlint:all", "-Werror", "-cp", classPath(), "-d", directory.resolve(root.getFileName()).toString()));
            try (Stream<Path> files = Files.list(root)) {
                files.filter(file -> file.toString().endsWith(".java")).forEach(file -> command.add(file.toString()));
            }
            ChildJvm.Result result = ChildJvm.run(command);
            assertEquals(0, result.exitCode(), result.output());
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void runs(String name) throws Exception {
        Engine.open().close();
        ChildJvm.Result result = ChildJvm.run(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-cp", classPath(), EXAMPLES.resolve(name + ".java").toString()));
        assertEquals(0, result.exitCode(), result.output());
        for (String line : OUTPUT.get(name)) {
            assertTrue(result.output().contains(line), "'" + line + "' is not in:\n" + result.output());
        }
    }
}
