package io.e2bridge;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Parameter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A call of any public method of a client with arguments good and bad, and what may come of it: a document, or an {@link
 * E2BException} with a code that is no defect of ours. Somebody else chooses: a random number, or a fuzzer.
 */
final class AnyCall {
    /** Every method of a client but close, overloads included, always in the same order. */
    static final List<Method> METHODS = Arrays.stream(E2B.class.getDeclaredMethods())
            .filter(method -> Modifier.isPublic(method.getModifiers()) && !Modifier.isStatic(method.getModifiers()))
            .filter(method -> !method.getName().equals("close"))
            .sorted(Comparator.comparing(Method::toString))
            .toList();

    /** What chooses. */
    interface Choices {
        /** {@return a number from 0 up to the bound} */
        int below(int bound);

        /** {@return any number} */
        int number();

        /** {@return any text} */
        String text();

        /** {@return any bytes} */
        byte[] bytes();
    }

    private final Engine engine;
    private final Choices choices;
    private volatile String sandbox;

    /**
     * Calls on a client.
     *
     * @param engine the client; files of the host are made in its directory alone
     * @param choices what chooses methods and arguments
     */
    AnyCall(Engine engine, Choices choices) {
        this.engine = engine;
        this.choices = choices;
    }

    /**
     * Makes one call.
     *
     * @return the document, or the exception
     * @throws AssertionError when anything else came of it
     */
    Object make() {
        Method method = METHODS.get(choices.below(METHODS.size()));
        Object[] arguments = Arrays.stream(method.getParameters()).map(this::argument).toArray();
        Object outcome = outcome(method, engine.client(), arguments);
        if (outcome instanceof E2BException e && e.code() == E2BErrorCode.NOT_FOUND && "sandbox_id".equals(e.argument())) {
            sandbox = null;
        }
        // What is made is unmade, so that any number of calls can follow.
        if (outcome instanceof SandboxCreated made) {
            quietly(() -> engine.client().terminateE2BSandbox(made.sandboxId(), true));
        } else if (outcome instanceof DeploymentCreated made) {
            quietly(() -> engine.client().scaleE2BDeployment(made.deploymentId(), 0));
        } else if (outcome instanceof TemplateExported made) {
            quietly(() -> engine.client().deleteE2BTemplate(made.templateName()));
        }
        return outcome;
    }

    /**
     * Opens a client with settings good and bad, and closes it.
     *
     * @param directory where its templates are
     * @throws AssertionError when anything but a client or a typed exception came of it
     */
    static void open(Path directory, Choices choices) {
        E2BConfig.Builder settings = E2BConfig.builder().dataDirectory(directory);
        for (int setting = choices.below(4); setting > 0; setting--) {
            int number = choices.below(2) == 0 ? choices.below(3) : choices.number();
            Path program = directory.resolve(choices.below(2) == 0 ? "none" : ".");
            switch (choices.below(9)) {
                case 0 -> settings.backend(choices.below(2) == 0 ? Backend.CLOUD : Backend.LOCAL);
                case 1 -> settings.isolation(choices.below(2) == 0 ? Isolation.BEST_EFFORT : null);
                case 2 -> settings.python(program);
                case 3 -> settings.node(program);
                case 4 -> settings.poolBase(number);
                case 5 -> settings.poolPython(number);
                case 6 -> settings.poolNode(number);
                case 7 -> settings.diskMb(number);
                default -> settings.dataDirectory(Path.of("/dev/null/none"));
            }
        }
        try (E2B client = E2B.open(settings.build())) {
            client.listE2BSandboxes();
        } catch (E2BException e) {
            judge("open", e);
        }
    }

    /**
     * Calls a method and judges what comes of it.
     *
     * @return the document, or the exception
     */
    static Object outcome(Method method, E2B client, Object... arguments) {
        String call = method.getName() + Arrays.toString(Arrays.stream(arguments).map(AnyCall::shortened).toArray());
        try {
            Object document = method.invoke(client, arguments);
            if (!(document instanceof E2BDocument one) || one.json() == null) {
                throw new AssertionError(call + " answered " + document);
            }
            return document;
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof E2BException e)) {
                throw new AssertionError(call + " threw " + thrown.getCause(), thrown.getCause());
            }
            judge(call, e);
            return e;
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
    }

    private static void judge(String call, E2BException e) {
        boolean ours = e.code() == E2BErrorCode.INTERNAL || e.code() == E2BErrorCode.UNKNOWN;
        boolean nameless = e.code() == E2BErrorCode.INVALID_ARGUMENT && e.argument() == null;
        if (ours || nameless || e.getMessage() == null || e.getMessage().isEmpty() || e.getMessage().length() > 10_000) {
            throw new AssertionError(call + " threw " + shortened(e), e);
        }
    }

    private static String shortened(Object value) {
        String text;
        try {
            text = value instanceof byte[] bytes ? bytes.length + " bytes" : String.valueOf(value);
        } catch (RuntimeException | StackOverflowError e) {
            text = "a " + value.getClass() + " without a text";
        }
        return text.length() > 300 ? text.substring(0, 300) + "… (" + text.length() + ")" : text;
    }

    private static void quietly(Runnable call) {
        try {
            call.run();
        } catch (E2BException e) {
            // Another thread was faster, or the client is closed.
            judge("cleaning up", e);
        }
    }

    private Object argument(Parameter parameter) {
        Class<?> type = parameter.getType();
        String name = parameter.getName();
        boolean passes = choices.below(4) > 0;
        if (type == String.class) {
            return passes ? passing(name) : hostileText();
        } else if (type == List.class) {
            return passes ? List.of("SPY") : hostileList();
        } else if (type == Object.class) {
            return passes ? Map.of("instances", 1, "memory_mb", 64, "timeout", 2) : hostileObject();
        } else if (type == Integer.class || type == int.class) {
            return number(name, type, passes);
        } else if (type == Boolean.class) {
            return List.of(true, false).get(choices.below(2));
        } else if (type == boolean.class) {
            return choices.below(2) == 0;
        } else if (type == byte[].class) {
            return passes ? choices.bytes() : null;
        } else if (type == Path.class) {
            return path();
        }
        throw new AssertionError("no argument of " + type);
    }

    private String passing(String name) {
        return switch (name) {
            case "sandboxId" -> sandbox();
            case "name" -> "any";
            case "template" -> "base";
            case "templateName" -> List.of("base", "exported").get(choices.below(2));
            case "statusFilter" -> "all";
            case "command" -> "echo";
            case "agentType" -> "momentum";
            case "language" -> List.of("js", "sh").get(choices.below(2));
            case "code" -> "1 + 1";
            case "context" -> List.of("one", "two").get(choices.below(2));
            case "path" -> List.of("file", "/tmp", "/proc/self/mem", "a/b").get(choices.below(4));
            default -> "any";
        };
    }

    private String sandbox() {
        String known = sandbox;
        if (known == null) {
            try {
                known = engine.client().createE2BSandbox("known", "base", 600, 64, 1).sandboxId();
                sandbox = known;
            } catch (E2BException closed) {
                known = "sb_none";
            }
        }
        return known;
    }

    private String hostileText() {
        return switch (choices.below(8)) {
            case 0 -> null;
            case 1 -> "";
            case 2 -> "a\0b";
            case 3 -> "a\ud800";
            case 4 -> "../../../etc/passwd";
            case 5 -> "x".repeat(choices.below(300_000));
            default -> choices.text();
        };
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private List<String> hostileList() {
        return switch (choices.below(6)) {
            case 0 -> null;
            case 1 -> List.of();
            case 2 -> Arrays.asList("SPY", null);
            case 3 -> (List) List.of("SPY", 7);
            default -> Stream.generate(this::hostileText).limit(1 + choices.below(4)).toList();
        };
    }

    private Object hostileObject() {
        switch (choices.below(12)) {
            case 0:
                return null;
            case 1:
                return "{\"instances\":1" + choices.text();
            case 2:
                return choices.text();
            case 3:
                return List.of(1);
            case 4:
                return JsonNodeFactory.instance.objectNode().put("instances", choices.text());
            case 5:
                return Map.of("prices", Map.of("SPY", Arrays.asList(1.0, Double.NaN, choices.number())));
            case 6:
                Map<String, Object> cycle = new HashMap<>();
                cycle.put("env", cycle);
                return cycle;
            case 7:
                Object deep = 1;
                for (int level = choices.below(200); level > 0; level--) {
                    deep = Map.of("metadata", deep);
                }
                return deep;
            case 8:
                return Map.of("env", Map.of(choices.text(), choices.text()));
            case 9:
                return Map.of("prices", Map.of("SPY", List.of(1, 2, 3, choices.number())), "timeout", 2, "window", choices.number());
            case 10:
                return Map.of("start_command", choices.text(), "memory_mb", 64);
            default:
                Map<String, Object> any = new HashMap<>();
                for (String key : List.of("memory_mb", "cpu_count", "timeout", "env", "metadata", "agent", choices.text())) {
                    any.put(key, choices.below(2) == 0 ? choices.number() : new ArrayList<>(List.of(choices.text())));
                }
                return any;
        }
    }

    private Integer number(String name, Class<?> type, boolean passes) {
        if (name.equals("instanceCount")) {
            // A thousand sandboxes would be granted.
            return List.of(0, 1, 2, -1, 1_001, Integer.MAX_VALUE, Integer.MIN_VALUE).get(choices.below(7));
        }
        if (passes) {
            return name.equals("memoryMb") ? 64 : name.equals("cpuCount") ? 1 : 2;
        }
        int any = choices.number();
        return type == Integer.class && any == 0 ? null : Integer.valueOf(any);
    }

    private Path path() {
        return switch (choices.below(6)) {
            case 0 -> null;
            case 1 -> engine.directory();
            case 2 -> engine.directory().resolve("none/archive");
            case 3 -> Path.of("/dev/null");
            default -> engine.directory().resolve("archive");
        };
    }
}
