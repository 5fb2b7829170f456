package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;

/** Every text, object and number that a public method takes, broken in every way. */
@Timeout(600)
class BoundaryTest extends EngineTest {
    private static final int HUGE = 64 * 1024 * 1024;

    private static final List<Integer> PRICES = IntStream.rangeClosed(100, 140).boxed().toList();

    /** Arguments that may hold any character, NUL included; a category is free text that no system call sees. */
    private static final Set<String> ANY_CHARACTER = Set.of("code", "category");

    /** {@return a live sandbox} A test may have ended the one before. */
    private static String sandbox() {
        return e2b().listE2BSandboxes().sandboxes().stream().map(SandboxSummary::sandboxId).findFirst().orElseGet(EngineTest::base);
    }

    /** What passes for each parameter. */
    private static Object passing(Parameter parameter, String sandbox) {
        return switch (parameter.getName()) {
            case "sandboxId" -> sandbox;
            case "name" -> "box";
            case "template", "templateName" -> "base";
            case "statusFilter" -> "all";
            case "command" -> "echo";
            case "args", "symbols" -> List.of("SPY");
            case "agentType" -> "momentum";
            case "strategyParams" -> Map.of("prices", Map.of("SPY", PRICES), "timeout", 20);
            case "category" -> "Test";
            case "configuration" -> Map.of("memory_mb", 64);
            case "deploymentId" -> "dep_aaaaaaaaaaaaaaaaaaaaaaaaaa";
            case "language" -> "js";
            case "code" -> "1";
            case "context" -> "context";
            case "path" -> "file";
            case "content" -> new byte[] {1};
            case "file" -> Path.of("/dev/null/none");
            case "timeout" -> 20;
            case "memoryMb" -> 64;
            case "cpuCount", "instanceCount" -> 1;
            default -> {
                assertTrue(parameter.getType() == Boolean.class || parameter.getType() == boolean.class, parameter.toString());
                yield false;
            }
        };
    }

    private static Object[] passing(Method method, String sandbox) {
        return Stream.of(method.getParameters()).map(parameter -> passing(parameter, sandbox)).toArray();
    }

    private static String snakeCase(String name) {
        return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private interface Check {
        void accept(String argument, Object outcome);
    }

    /** One test for each text that a public method takes, alone or in a list or an object. */
    private static Stream<DynamicTest> forEveryText(String bad, Check check) {
        List<DynamicTest> tests = new ArrayList<>();
        for (Method method : AnyCall.METHODS) {
            for (int i = 0; i < method.getParameterCount(); i++) {
                Parameter parameter = method.getParameters()[i];
                Object argument = switch (parameter.getType().getSimpleName()) {
                    case "String" -> bad;
                    case "List" -> List.of("SPY", bad);
                    case "Object" -> Map.of("metadata", Map.of("key", bad));
                    default -> null;
                };
                if (argument != null) {
                    int index = i;
                    tests.add(DynamicTest.dynamicTest(method.getName() + "/" + method.getParameterCount() + " " + parameter.getName(), () -> {
                        Object[] arguments = passing(method, sandbox());
                        arguments[index] = argument;
                        check.accept(parameter.getName(), AnyCall.outcome(method, e2b(), arguments));
                    }));
                }
            }
        }
        assertTrue(tests.size() > 40, tests.size() + " texts");
        return tests.stream();
    }

    @TestFactory
    Stream<DynamicTest> aLoneSurrogateIsRefusedByNameInEveryText() {
        return forEveryText("a\ud800b", (argument, outcome) -> {
            E2BException e = assertInstanceOf(E2BException.class, outcome);
            assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code(), e.getMessage());
            assertTrue(e.argument().startsWith(snakeCase(argument)), e.getMessage());
            assertTrue(e.getMessage().contains("lone surrogate"), e.getMessage());
        });
    }

    @TestFactory
    Stream<DynamicTest> aNulNeverCutsAText() {
        return forEveryText("base\0x", (argument, outcome) -> {
            if (!ANY_CHARACTER.contains(argument) && outcome instanceof E2BDocument document) {
                // In an object's own values it is a character like others.
                assertTrue(Set.of("configuration", "strategyParams").contains(argument), document.json().toString());
            }
        });
    }

    @TestFactory
    Stream<DynamicTest> sixtyFourMebibytesAreAnAnswerForEveryText() {
        String huge = "x".repeat(HUGE);
        return forEveryText(huge, (argument, outcome) -> {
            E2BException e = assertInstanceOf(E2BException.class, outcome);
            assertTrue(Set.of(E2BErrorCode.LIMIT_EXCEEDED, E2BErrorCode.INVALID_ARGUMENT, E2BErrorCode.NOT_FOUND).contains(e.code()), e.getMessage());
            // An answer does not repeat what was too long.
            assertTrue(e.getMessage().length() < 2_000, e.getMessage());
        });
    }

    @Test
    void everyIntegerBeyondItsRangeIsRefusedByName() {
        int tried = 0;
        for (Method method : AnyCall.METHODS) {
            for (int i = 0; i < method.getParameterCount(); i++) {
                Class<?> type = method.getParameterTypes()[i];
                if (type != int.class && type != Integer.class) {
                    continue;
                }
                for (int bad : new int[] {Integer.MIN_VALUE, -1, Integer.MAX_VALUE}) {
                    Object[] arguments = passing(method, sandbox());
                    arguments[i] = bad;
                    E2BException e = assertInstanceOf(E2BException.class, AnyCall.outcome(method, e2b(), arguments), method.toString());
                    assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code(), method + ": " + e.getMessage());
                    assertEquals(snakeCase(method.getParameters()[i].getName()), e.argument(), e.getMessage());
                    tried++;
                }
            }
        }
        assertTrue(tried >= 24, tried + " integers");
    }

    @Test
    void nullIsAbsentOrRefusedByNameEverywhere() {
        for (Method method : AnyCall.METHODS) {
            for (int i = 0; i < method.getParameterCount(); i++) {
                if (!method.getParameterTypes()[i].isPrimitive()) {
                    Object[] arguments = passing(method, sandbox());
                    arguments[i] = null;
                    if (AnyCall.outcome(method, e2b(), arguments) instanceof E2BException e && e.code() == E2BErrorCode.INVALID_ARGUMENT) {
                        // An object that is absent may lack a part that is due.
                        assertTrue(e.argument().startsWith(snakeCase(method.getParameters()[i].getName())), method + ": " + e.getMessage());
                    }
                }
            }
        }
    }

    @Test
    void everyMethodOfAClosedClientIsClosed() {
        Engine engine = Engine.open();
        String sandbox = engine.sandbox("base");
        engine.close();
        engine.client().close();
        for (Method method : AnyCall.METHODS) {
            E2BException e = assertInstanceOf(E2BException.class, AnyCall.outcome(method, engine.client(), passing(method, sandbox)));
            assertEquals(E2BErrorCode.CLOSED, e.code(), method + ": " + e.getMessage());
        }
    }

    @Test
    void utf8OfEveryPlaneArrivesWhole() {
        String sandbox = sandbox();
        String text = "aé€😀\u0001\u007f\uffff";
        assertEquals(text, e2b().executeE2BProcess(sandbox, "printf", List.of("%s", text)).stdout());
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        e2b().writeE2BFile(sandbox, text, bytes);
        assertEquals(text, new String(e2b().readE2BFile(sandbox, text).content(), StandardCharsets.UTF_8));
    }
}
