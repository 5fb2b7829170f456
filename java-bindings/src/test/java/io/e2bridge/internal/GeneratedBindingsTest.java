package io.e2bridge.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.e2bridge.ChildJvm;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.internal.abi.E2BridgeNative;
import io.e2bridge.internal.abi.e2b_buffer;
import java.io.IOException;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The generated bindings are those of the header, the library and the error codes. */
class GeneratedBindingsTest {
    private static final Pattern PROTOTYPE = Pattern.compile("^(u?int32_t|void) (\\w+)\\(([^)]*)\\);", Pattern.MULTILINE);
    private static final Pattern CONSTANT = Pattern.compile("^#define (E2B_\\w+) (\\S+)$", Pattern.MULTILINE);

    private record Prototype(String result, List<String> parameters) {}

    /** The bindings look their symbols up when they are touched. */
    @BeforeAll
    static void load() {
        NativeLibraryLoader.ensureLoaded();
    }

    private static String header() throws IOException {
        String text = Files.readString(ChildJvm.ROOT.resolve("generated/include/e2bridge.h"));
        return text.replaceAll("(?s)/\\*.*?\\*/", "").replaceAll("//[^\n]*", "");
    }

    private static Map<String, Prototype> prototypes() throws IOException {
        Map<String, Prototype> prototypes = new LinkedHashMap<>();
        Matcher matcher = PROTOTYPE.matcher(header());
        while (matcher.find()) {
            List<String> parameters = new ArrayList<>();
            for (String parameter : matcher.group(3).split(",")) {
                String flat = parameter.strip().replaceAll("\\s+", " ");
                if (!flat.equals("void")) {
                    parameters.add(flat);
                }
            }
            prototypes.put(matcher.group(2), new Prototype(matcher.group(1), parameters));
        }
        return prototypes;
    }

    private static MemoryLayout layout(String parameter) {
        if (parameter.contains("*")) {
            return ValueLayout.ADDRESS;
        }
        String type = parameter.substring(0, parameter.lastIndexOf(' '));
        return switch (type) {
            case "int64_t", "uint64_t", "e2b_client" -> ValueLayout.JAVA_LONG;
            case "int32_t", "uint32_t" -> ValueLayout.JAVA_INT;
            default -> throw new AssertionError("a type that the interface does not use: " + type);
        };
    }

    private static Class<?> carrier(MemoryLayout layout) {
        return layout instanceof AddressLayout ? MemorySegment.class : ((ValueLayout) layout).carrier();
    }

    @Test
    void everyFunctionOfTheHeaderHasItsDescriptor() throws Exception {
        Map<String, Prototype> prototypes = prototypes();
        assertTrue(prototypes.size() >= 26, prototypes.keySet().toString());
        for (Map.Entry<String, Prototype> entry : prototypes.entrySet()) {
            String name = entry.getKey();
            Prototype prototype = entry.getValue();
            FunctionDescriptor descriptor =
                    (FunctionDescriptor) E2BridgeNative.class.getMethod(name + "$descriptor").invoke(null);
            List<MemoryLayout> expected = prototype.parameters().stream().map(GeneratedBindingsTest::layout).toList();
            List<MemoryLayout> found = descriptor.argumentLayouts();
            assertEquals(expected.size(), found.size(), name);
            for (int i = 0; i < expected.size(); i++) {
                assertEquals(carrier(expected.get(i)), carrier(found.get(i)), name + ", parameter " + prototype.parameters().get(i));
                assertEquals(expected.get(i).byteSize(), found.get(i).byteSize(), name);
            }
            if (prototype.result().equals("void")) {
                assertTrue(descriptor.returnLayout().isEmpty(), name);
            } else {
                assertEquals(int.class, carrier(descriptor.returnLayout().orElseThrow()), name);
            }
        }
    }

    @Test
    void everyMethodHasTheParametersOfTheHeaderInOrder() throws Exception {
        for (Map.Entry<String, Prototype> entry : prototypes().entrySet()) {
            Method method = Arrays.stream(E2BridgeNative.class.getMethods())
                    .filter(m -> m.getName().equals(entry.getKey()))
                    .findFirst()
                    .orElseThrow(() -> new AssertionError("no method " + entry.getKey()));
            List<String> expected = entry.getValue().parameters().stream()
                    .map(parameter -> parameter.replaceAll(".*[ *]", ""))
                    .toList();
            // Compiled with -parameters.
            assertEquals(expected, Arrays.stream(method.getParameters()).map(p -> p.getName()).toList(), entry.getKey());
        }
    }

    @Test
    void nothingIsBoundThatTheHeaderLacks() throws Exception {
        Set<String> bound = Arrays.stream(E2BridgeNative.class.getMethods())
                .filter(m -> Modifier.isStatic(m.getModifiers()) && m.getName().endsWith("$descriptor"))
                .map(m -> m.getName().replace("$descriptor", ""))
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(new TreeSet<>(prototypes().keySet()), bound);
    }

    @Test
    void everyConstantHasItsValue() throws Exception {
        Matcher matcher = CONSTANT.matcher(header());
        int constants = 0;
        while (matcher.find()) {
            constants++;
            Number found = (Number) E2BridgeNative.class.getMethod(matcher.group(1)).invoke(null);
            long expected = matcher.group(2).equals("INT64_MIN") ? Long.MIN_VALUE : Long.parseLong(matcher.group(2));
            assertEquals(expected, found.longValue(), matcher.group(1));
        }
        assertTrue(constants >= 17, constants + " constants");
        assertEquals(E2BridgeNative.E2B_ABSENT(), Marshaller.ABSENT);
    }

    @Test
    void everyStatusNumberIsAnErrorCodeAndTheOtherWayRound() throws Exception {
        Set<String> statuses = new TreeSet<>();
        for (Method method : E2BridgeNative.class.getMethods()) {
            if (method.getName().startsWith("E2B_STATUS_") && !method.getName().equals("E2B_STATUS_OK")) {
                String name = method.getName().substring("E2B_STATUS_".length());
                statuses.add(name);
                assertEquals((int) method.invoke(null), E2BErrorCode.valueOf(name).number(), name);
            }
        }
        Set<String> codes = new TreeSet<>();
        for (E2BErrorCode code : E2BErrorCode.values()) {
            if (code != E2BErrorCode.UNKNOWN) {
                codes.add(code.name());
            }
        }
        assertEquals(codes, statuses);
    }

    @Test
    void theBufferHasTheLayoutOfTheHeader() throws Exception {
        assertTrue(header().replaceAll("\\s+", " ").contains("typedef struct e2b_buffer { uint8_t *data; uint64_t length; } e2b_buffer;"));
        assertEquals(16, e2b_buffer.sizeof());
        assertEquals(0, e2b_buffer.data$offset());
        assertEquals(8, e2b_buffer.length$offset());
    }

    @Test
    void theLibraryHasEverySymbolAndTheVersionOfTheHeader() throws Exception {
        for (String name : prototypes().keySet()) {
            MemorySegment address = (MemorySegment) E2BridgeNative.class.getMethod(name + "$address").invoke(null);
            assertNotNull(address, name);
            assertFalse(address.equals(MemorySegment.NULL), name);
        }
        assertEquals(E2BridgeNative.E2B_ABI_VERSION(), E2BridgeNative.e2b_abi_version());
        assertEquals(E2BridgeNative.E2B_ABI_VERSION(), NativeCalls.version().get("abi_version").intValue());
    }

    @Test
    void theLibraryAndTheJarAreOfOneVersion() {
        assertEquals(System.getProperty("e2bridge.test.version"), NativeCalls.version().get("version").textValue());
    }
}
