package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** Checks that a record reads every key of a real document. */
final class Documents {
    /** Accessors that are not called like their key. */
    private static final Map<String, String> RENAMED = Map.of("FileContent.content_base64", "content", "CodeOutput.json", "value");

    private Documents() {}

    /**
     * Calls every accessor, of nested documents too; every key must have one.
     *
     * @param document a document of the library
     * @return the same
     */
    static <T extends E2BDocument> T read(T document) {
        Class<?> type = document.getClass();
        assertTrue(type.isRecord(), type.getName());
        assertEquals(document, recreated(document), "equal documents make equal records");
        assertEquals(document.hashCode(), recreated(document).hashCode());
        assertNotNull(document.toString());
        Set<String> accessors = new TreeSet<>();
        for (Method method : type.getDeclaredMethods()) {
            if (Modifier.isPublic(method.getModifiers()) && !Modifier.isStatic(method.getModifiers()) && method.getParameterCount() == 0
                    && !Set.of("toString", "hashCode").contains(method.getName())) {
                accessors.add(method.getName());
                visit(value(document, method));
            }
        }
        for (Iterator<String> keys = document.json().fieldNames(); keys.hasNext(); ) {
            String key = keys.next();
            String name = RENAMED.getOrDefault(type.getSimpleName() + "." + key, camelCase(key));
            assertTrue(accessors.contains(name), type.getSimpleName() + " has no accessor for " + key);
        }
        return document;
    }

    private static Object recreated(E2BDocument document) {
        try {
            return document.getClass().getConstructor(JsonNode.class).newInstance((JsonNode) document.json().deepCopy());
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    private static Object value(E2BDocument document, Method accessor) {
        try {
            return accessor.invoke(document);
        } catch (InvocationTargetException e) {
            throw new AssertionError(document.getClass().getSimpleName() + "." + accessor.getName() + " of " + document.json(), e.getCause());
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
    }

    private static void visit(Object value) {
        if (value instanceof E2BDocument nested) {
            read(nested);
        } else if (value instanceof Collection<?> many) {
            many.forEach(Documents::visit);
        } else if (value instanceof Map<?, ?> map) {
            map.values().forEach(Documents::visit);
        }
    }

    static String camelCase(String key) {
        String[] words = key.split("_");
        assertFalse(words[0].isEmpty(), key);
        return words[0]
                + Arrays.stream(words).skip(1).map(word -> Character.toUpperCase(word.charAt(0)) + word.substring(1)).collect(Collectors.joining());
    }
}
