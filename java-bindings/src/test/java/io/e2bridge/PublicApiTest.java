package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.e2bridge.internal.abi.E2BridgeNative;
import java.io.InputStream;
import java.lang.module.ModuleDescriptor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Parameter;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** What the module shows to others. */
class PublicApiTest {
    private static List<Class<?>> publicClasses() throws Exception {
        List<Class<?>> classes = new ArrayList<>();
        try (Stream<Path> files = Files.list(ChildJvm.CLASSES.resolve("io/e2bridge"))) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (name.endsWith(".class") && !name.equals("package-info.class")) {
                    Class<?> one = Class.forName("io.e2bridge." + name.replace(".class", ""));
                    if (Modifier.isPublic(one.getModifiers())) {
                        classes.add(one);
                    }
                }
            }
        }
        assertTrue(classes.size() > 30, classes.toString());
        return classes;
    }

    @Test
    void theModuleExportsThePublicPackageOnly() throws Exception {
        ModuleDescriptor descriptor;
        try (var input = Files.newInputStream(ChildJvm.CLASSES.resolve("module-info.class"))) {
            descriptor = ModuleDescriptor.read(input);
        }
        assertEquals("io.e2bridge", descriptor.name());
        assertEquals(Set.of("io.e2bridge"), descriptor.exports().stream().map(ModuleDescriptor.Exports::source).collect(Collectors.toSet()));
        assertTrue(descriptor.exports().stream().noneMatch(ModuleDescriptor.Exports::isQualified));
        assertTrue(descriptor.opens().isEmpty());
    }

    @Test
    void noSignatureHasANativeOrInternalType() throws Exception {
        for (Class<?> one : publicClasses()) {
            List<Type> types = new ArrayList<>();
            types.add(one.getGenericSuperclass());
            types.addAll(List.of(one.getGenericInterfaces()));
            for (Executable member : Stream.concat(Arrays.stream(one.getDeclaredMethods()), Arrays.stream(one.getDeclaredConstructors())).toList()) {
                if (Modifier.isPublic(member.getModifiers()) || Modifier.isProtected(member.getModifiers())) {
                    types.addAll(List.of(member.getGenericParameterTypes()));
                    types.addAll(List.of(member.getGenericExceptionTypes()));
                    if (member instanceof Method method) {
                        types.add(method.getGenericReturnType());
                    }
                }
            }
            for (Field field : one.getDeclaredFields()) {
                if (Modifier.isPublic(field.getModifiers()) || Modifier.isProtected(field.getModifiers())) {
                    types.add(field.getGenericType());
                }
            }
            for (Type type : types) {
                if (type != null) {
                    assertPublic(one, type);
                }
            }
        }
    }

    private static void assertPublic(Class<?> where, Type type) {
        String name = type.getTypeName();
        assertFalse(name.contains("java.lang.foreign") || name.contains("io.e2bridge.internal"), where + " shows " + name);
        if (type instanceof ParameterizedType parameterized) {
            for (Type argument : parameterized.getActualTypeArguments()) {
                assertPublic(where, argument);
            }
        }
    }

    @Test
    void noObjectInFourthPlaceOfAFourArgumentAgent() {
        Set<String> forms = new TreeSet<>();
        for (Method method : E2B.class.getMethods()) {
            if (method.getName().equals("runE2BAgent")) {
                forms.add(Arrays.stream(method.getParameterTypes()).map(Class::getSimpleName).collect(Collectors.joining(",")));
                // Boolean.FALSE would bind to it: the reference's bug again.
                assertFalse(method.getParameterCount() == 4 && method.getParameterTypes()[3] == Object.class);
            }
        }
        assertEquals(
                Set.of("String,String,List", "String,String,List,boolean", "String,String,List,Object,Boolean"), forms);
    }

    @Test
    void theSignaturesOfTheContract() throws Exception {
        Class<?> list = List.class;
        E2B.class.getMethod("createE2BSandbox", String.class, String.class, Integer.class, Integer.class, Integer.class);
        E2B.class.getMethod("listE2BSandboxes", String.class);
        E2B.class.getMethod("getE2BSandboxStatus", String.class);
        E2B.class.getMethod("executeE2BProcess", String.class, String.class, list, Integer.class, Boolean.class);
        E2B.class.getMethod("runE2BAgent", String.class, String.class, list, Object.class, Boolean.class);
        E2B.class.getMethod("runE2BAgent", String.class, String.class, list, boolean.class);
        E2B.class.getMethod("monitorE2BHealth", Boolean.class);
        E2B.class.getMethod("deployE2BTemplate", String.class, String.class, Object.class);
        E2B.class.getMethod("scaleE2BDeployment", String.class, int.class, Boolean.class);
        E2B.class.getMethod("exportE2BTemplate", String.class, String.class, Boolean.class);
        E2B.class.getMethod("terminateE2BSandbox", String.class, Boolean.class);
        E2B.class.getMethod("runE2BCode", String.class, String.class, String.class, String.class, Integer.class);
        E2B.class.getMethod("writeE2BFile", String.class, String.class, byte[].class);
        E2B.class.getMethod("readE2BFile", String.class, String.class);
        E2B.class.getMethod("setE2BTimeout", String.class, int.class);
        E2B.class.getMethod("listE2BTemplates");
        E2B.class.getMethod("deleteE2BTemplate", String.class);
        E2B.class.getMethod("exportE2BTemplateFile", String.class, Path.class);
        E2B.class.getMethod("importE2BTemplateFile", Path.class, String.class);
        E2B.class.getMethod("open");
        E2B.class.getMethod("open", E2BConfig.class);
        E2B.class.getMethod("check");
        E2B.class.getMethod("check", E2BConfig.class);
        assertTrue(AutoCloseable.class.isAssignableFrom(E2B.class));
    }

    /** The surface of the reference module. */
    static JsonNode functions() {
        try (InputStream input = PublicApiTest.class.getResourceAsStream("/reference-surface.json")) {
            return new ObjectMapper().readTree(input).get("functions");
        } catch (java.io.IOException e) {
            throw new AssertionError(e);
        }
    }

    private static List<Method> methods(String name) {
        return Arrays.stream(E2B.class.getMethods()).filter(method -> method.getName().equals(name)).toList();
    }

    @TestFactory
    Stream<DynamicTest> theFullFormHasTheArgumentsInOrder() {
        List<DynamicTest> tests = new ArrayList<>();
        for (JsonNode function : functions()) {
            tests.add(DynamicTest.dynamicTest(function.get("js").textValue(), () -> {
                Method full = methods(function.get("js").textValue()).stream()
                        .filter(method -> method.getParameterCount() == function.get("args").size())
                        .filter(method -> !List.of(method.getParameterTypes()).contains(boolean.class))
                        .findFirst()
                        .orElseThrow();
                for (int i = 0; i < full.getParameterCount(); i++) {
                    JsonNode argument = function.get("args").get(i);
                    Parameter parameter = full.getParameters()[i];
                    assertEquals(Documents.camelCase(argument.get("name").textValue()), parameter.getName());
                    String type = argument.get("type").textValue();
                    Class<?> expected = type.startsWith("i32") ? argument.get("required").booleanValue() ? int.class : Integer.class
                            : type.equals("string[]") ? List.class
                            : type.equals("bool") ? Boolean.class
                            : type.contains("JSON object") ? Object.class
                            : String.class;
                    assertEquals(expected, parameter.getType(), parameter.getName());
                }
                assertTrue(E2BDocument.class.isAssignableFrom(full.getReturnType()));
                // The C function has the same words.
                assertNotNull(Arrays.stream(E2BridgeNative.class.getMethods())
                        .filter(method -> method.getName().equals(function.get("rust").textValue()))
                        .findFirst()
                        .orElseThrow());
            }));
        }
        assertEquals(10, tests.size());
        return tests.stream();
    }

    @Test
    void everyResultIsARecordWithItsDocument() throws Exception {
        for (Class<?> one : publicClasses()) {
            if (E2BDocument.class.isAssignableFrom(one) && one != E2BDocument.class) {
                assertTrue(one.isRecord(), one.getName());
                assertEquals("json", one.getRecordComponents()[0].getName());
                assertEquals(1, one.getRecordComponents().length);
            }
        }
    }

    @Test
    void noFinalizersNoCleanersNoUpcallsNoUnsafe() throws Exception {
        for (String directory : List.of("java-bindings/src/main", "generated/java")) {
            try (Stream<Path> sources = Files.walk(ChildJvm.ROOT.resolve(directory))) {
                for (Path source : sources.filter(path -> path.toString().endsWith(".java")).toList()) {
                    String text = Files.readString(source);
                    for (String word : List.of(
                            "sun.misc", "Unsafe", "void finalize(", "Cleaner", "upcallStub", "Thread.stop", "runFinalization")) {
                        assertFalse(text.contains(word), source + " has " + word);
                    }
                }
            }
        }
    }
}
