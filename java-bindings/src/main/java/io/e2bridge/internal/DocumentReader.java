package io.e2bridge.internal;

import com.fasterxml.jackson.core.io.NumberInput;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Reads result documents into trees, with one reader per function.
 *
 * <p>A status is answered in about a microsecond, and Jackson alone needs more than two for its document. The documents of one
 * function have the same keys in the same order, so each reader remembers which key followed which and compares bytes where
 * Jackson has to look names up; a reader that is told so remembers objects, too, and copies one that comes again. That path reads
 * compact JSON whose strings are plain ASCII; at anything else it gives up and Jackson reads the document from its start. Both
 * give equal trees.
 *
 * <p>Threads: any number at once. What a reader remembers is a hint, replaced without locks; keys are immutable.
 */
final class DocumentReader {
    /** Keys of one document that are remembered; what a sandbox printed must not stay in memory through its keys. */
    private static final int MOST_KEYS = 96;

    private static final int LONGEST_KEY = 48;
    /** Bytes of an object that is remembered. */
    private static final int LONGEST_OBJECT = 512;
    /** Room of an object that was not met before. */
    private static final int USUAL_SIZE = 16;
    /** Below the bound at which Jackson refuses, so that both agree on what is read. */
    private static final int MOST_LEVELS = 64;

    private static final VarHandle WORD =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN).withInvokeExactBehavior();
    private static final long ONES = 0x0101010101010101L;
    private static final long HIGH_BITS = 0x8080808080808080L;

    /** Exact as doubles, so that one division of two exact numbers rounds once. */
    private static final double[] POWERS_OF_TEN = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18
    };

    private static final long LARGEST_EXACT = 1L << 53;

    private static final class Key {
        final String name;
        final byte[] bytes;
        /** The key that followed last time, in the order of the document. A racy hint. */
        Key next;
        /** How many keys the object had that is this key's value. A racy hint. */
        int size = USUAL_SIZE;
        /** The object that was this key's value. A racy hint. */
        Known object;

        Key(String name, byte[] bytes) {
            this.name = name;
            this.bytes = bytes;
        }
    }

    /**
     * An object as it was.
     *
     * @param bytes its text
     * @param tree never given away, because trees can be changed
     * @param last its last key
     * @param keys how many keys are in it
     * @param changed whether it was another one before: one that changes is not worth its copy
     */
    private record Known(byte[] bytes, ObjectNode tree, Key last, int keys, boolean changed) {}

    /** Something that the short path does not read. Preallocated: it is control flow, not a failure. */
    private static final class NotPlain extends RuntimeException {
        private static final long serialVersionUID = 1L;
        static final NotPlain INSTANCE = new NotPlain();

        private NotPlain() {
            super(null, null, false, false);
        }
    }

    /** Precedes every first key. */
    private final Key start = new Key("", new byte[0]);
    private final boolean remembersObjects;

    /** A reader that remembers keys only: for documents that have what a sandbox printed, too. */
    DocumentReader() {
        this(false);
    }

    private DocumentReader(boolean remembersObjects) {
        this.remembersObjects = remembersObjects;
    }

    /** {@return a reader that remembers objects, too} Not for documents that have what a sandbox printed. */
    static DocumentReader withObjects() {
        return new DocumentReader(true);
    }

    /**
     * Reads one document.
     *
     * @param document UTF-8 text of one JSON object
     * @return the tree
     * @throws E2BException INTERNAL when it is not JSON
     */
    ObjectNode read(byte[] document) {
        JsonNode tree;
        try {
            tree = new Cursor(document).document();
        } catch (NotPlain | IndexOutOfBoundsException notPlain) {
            tree = readWithJackson(document);
        }
        if (tree instanceof ObjectNode object) {
            return object;
        }
        throw new E2BException(E2BErrorCode.INTERNAL, "the library's answer is not a JSON object", null, null, null);
    }

    private static JsonNode readWithJackson(byte[] document) {
        try {
            return Json.reader().readTree(document);
        } catch (IOException e) {
            throw new E2BException(E2BErrorCode.INTERNAL, "the library's answer is not JSON", null, null, e);
        }
    }

    private final class Cursor {
        private final byte[] bytes;
        private int at;
        private Key last = start;
        private int keys;
        private int level;

        Cursor(byte[] bytes) {
            this.bytes = bytes;
        }

        JsonNode document() {
            JsonNode value = value();
            if (at != bytes.length) {
                throw NotPlain.INSTANCE;
            }
            return value;
        }

        private JsonNode value() {
            switch (bytes[at]) {
                case '"':
                    int begin = at + 1;
                    int end = endOfString(begin);
                    at = end + 1;
                    return TextNode.valueOf(new String(bytes, begin, end - begin, StandardCharsets.ISO_8859_1));
                case '{':
                    return object();
                case '[':
                    return array();
                case 't':
                    return word("true", BooleanNode.TRUE);
                case 'f':
                    return word("false", BooleanNode.FALSE);
                case 'n':
                    return word("null", NullNode.instance);
                default:
                    return number();
            }
        }

        private JsonNode word(String word, JsonNode meaning) {
            for (int i = 1; i < word.length(); i++) {
                if (bytes[at + i] != word.charAt(i)) {
                    throw NotPlain.INSTANCE;
                }
            }
            at += word.length();
            return meaning;
        }

        private JsonNode object() {
            Key owner = last;
            Known known = remembersObjects && owner != null ? owner.object : null;
            if (known != null && isThere(known.bytes)) {
                at += known.bytes.length;
                last = known.last;
                keys += known.keys;
                return known.tree.deepCopy();
            }
            int begin = at;
            int keysBefore = keys;
            ObjectNode object = newObject(owner == null ? USUAL_SIZE : owner.size);
            if (owner != null) {
                int size = Math.min(object.size(), MOST_KEYS);
                if (owner.size != size) {
                    owner.size = size;
                }
                boolean changed = known != null;
                if (remembersObjects && last != null && at - begin <= LONGEST_OBJECT && !(changed && known.changed)) {
                    byte[] text = Arrays.copyOfRange(bytes, begin, at);
                    owner.object = new Known(text, object.deepCopy(), last, keys - keysBefore, changed);
                }
            }
            return object;
        }

        private boolean isThere(byte[] text) {
            int end = at + text.length;
            return end <= bytes.length && Arrays.equals(bytes, at, end, text, 0, text.length);
        }

        private ObjectNode newObject(int size) {
            enter();
            Map<String, JsonNode> fields = LinkedHashMap.newLinkedHashMap(size);
            if (bytes[at] == '}') {
                at++;
            } else {
                byte separator;
                do {
                    String name = name();
                    if (fields.put(name, value()) != null) {
                        throw NotPlain.INSTANCE;
                    }
                    separator = bytes[at++];
                } while (separator == ',');
                expect(separator == '}');
            }
            level--;
            return new ObjectNode(JsonNodeFactory.instance, fields);
        }

        private JsonNode array() {
            enter();
            ArrayNode array = new ArrayNode(JsonNodeFactory.instance);
            if (bytes[at] == ']') {
                at++;
            } else {
                byte separator;
                do {
                    array.add(value());
                    separator = bytes[at++];
                } while (separator == ',');
                expect(separator == ']');
            }
            level--;
            return array;
        }

        private void enter() {
            at++;
            expect(++level <= MOST_LEVELS);
        }

        private String name() {
            expect(bytes[at] == '"');
            int begin = at + 1;
            Key guess = last == null ? null : last.next;
            String name;
            int end;
            if (guess != null && follows(guess.bytes, begin)) {
                end = begin + guess.bytes.length;
                name = guess.name;
                last = guess;
            } else {
                end = endOfString(begin);
                name = new String(bytes, begin, end - begin, StandardCharsets.ISO_8859_1);
                if (last != null && keys < MOST_KEYS && end - begin <= LONGEST_KEY) {
                    Key key = new Key(name, Arrays.copyOfRange(bytes, begin, end));
                    last.next = key;
                    last = key;
                } else {
                    last = null;
                }
            }
            keys++;
            expect(bytes[end + 1] == ':');
            at = end + 2;
            return name;
        }

        private boolean follows(byte[] key, int begin) {
            int end = begin + key.length;
            return end < bytes.length
                    && bytes[end] == '"'
                    && Arrays.equals(key, 0, key.length, bytes, begin, end);
        }

        /** The closing quote of a string of printable ASCII without escapes, eight bytes at a time. */
        private int endOfString(int begin) {
            int i = begin;
            for (; i + Long.BYTES <= bytes.length; i += Long.BYTES) {
                long word = (long) WORD.get(bytes, i);
                long quote = word ^ ('"' * ONES);
                long backslash = word ^ ('\\' * ONES);
                // A zero byte borrows into its high bit; bytes above a hit may be marked wrongly, the lowest mark is right.
                long marks = ((quote - ONES) & ~quote)
                        | ((backslash - ONES) & ~backslash)
                        | ((word - ' ' * ONES) & ~word)
                        | word;
                marks &= HIGH_BITS;
                if (marks != 0) {
                    i += Long.numberOfTrailingZeros(marks) >>> 3;
                    expect(bytes[i] == '"');
                    return i;
                }
            }
            for (; bytes[i] != '"'; i++) {
                expect(bytes[i] >= ' ' && bytes[i] != '\\');
            }
            return i;
        }

        /** Any number but whole ones of more than 18 digits. */
        private JsonNode number() {
            int begin = at;
            boolean negative = bytes[at] == '-';
            if (negative) {
                at++;
            }
            int digits = at;
            long value = digits(0);
            int wholeDigits = at - digits;
            expect(wholeDigits == 1 || bytes[digits] != '0');
            boolean fraction = at < bytes.length && bytes[at] == '.';
            if (fraction) {
                at++;
                digits = at;
                value = digits(value);
            }
            int fractionDigits = fraction ? at - digits : 0;
            boolean exponent = at < bytes.length && (bytes[at] | 0x20) == 'e';
            boolean exact = wholeDigits + fractionDigits <= 18;
            if (!fraction && !exponent) {
                expect(exact);
                long whole = negative ? -value : value;
                return whole == (int) whole ? IntNode.valueOf((int) whole) : LongNode.valueOf(whole);
            }
            if (exponent) {
                at++;
                if (bytes[at] == '+' || bytes[at] == '-') {
                    at++;
                }
                digits(0);
            } else if (exact && value <= LARGEST_EXACT) {
                double quotient = value / POWERS_OF_TEN[fractionDigits];
                return DoubleNode.valueOf(negative ? -quotient : quotient);
            }
            return DoubleNode.valueOf(
                    NumberInput.parseDouble(new String(bytes, begin, at - begin, StandardCharsets.ISO_8859_1), true));
        }

        /** At least one digit, appended to a value that may overflow. */
        private long digits(long before) {
            long value = before;
            int begin = at;
            for (; at < bytes.length; at++) {
                int digit = bytes[at] - '0';
                if (digit < 0 || digit > 9) {
                    break;
                }
                value = value * 10 + digit;
            }
            expect(at > begin);
            return value;
        }

        private static void expect(boolean plain) {
            if (!plain) {
                throw NotPlain.INSTANCE;
            }
        }
    }
}
