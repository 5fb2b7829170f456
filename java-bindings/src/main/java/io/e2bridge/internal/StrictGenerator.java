package io.e2bridge.internal;

import com.fasterxml.jackson.core.Base64Variant;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonStreamContext;
import com.fasterxml.jackson.core.SerializableString;
import com.fasterxml.jackson.core.util.JsonGeneratorDelegate;
import java.io.IOException;
import java.io.InputStream;
import java.io.Reader;
import java.math.BigDecimal;
import java.math.BigInteger;

/**
 * Writes one JSON object and refuses what JSON has no form for, with the place where it was found. Jackson by itself would
 * write NaN as a string and leave lone surrogates to whoever decodes them. One thread.
 */
final class StrictGenerator extends JsonGeneratorDelegate {
    private final String parameter;
    private boolean raw;

    /**
     * Writes through a generator.
     *
     * @param generator where the text goes
     * @param parameter whose text it is, for refusals
     */
    StrictGenerator(JsonGenerator generator, String parameter) {
        // Containers and trees are written element by element through this class, not handed on as a whole.
        super(generator, false);
        this.parameter = parameter;
    }

    /** {@return true when unchecked text was written, as {@code @JsonRawValue} does; the whole must then be parsed} */
    boolean wroteRaw() {
        return raw;
    }

    /** The place of a context in words: {@code strategy_params.prices.SPY[3]}. */
    static String place(String parameter, JsonStreamContext context) {
        StringBuilder place = new StringBuilder();
        for (JsonStreamContext c = context; c != null && !c.inRoot(); c = c.getParent()) {
            if (c.inArray()) {
                place.insert(0, "[" + Math.max(c.getCurrentIndex(), 0) + "]");
            } else if (c.getCurrentName() != null) {
                place.insert(0, "." + c.getCurrentName());
            }
        }
        return place.insert(0, parameter).toString();
    }

    @Override
    public void writeStartArray() throws IOException {
        inObject("an array");
        super.writeStartArray();
    }

    @Override
    public void writeStartArray(Object value) throws IOException {
        inObject("an array");
        super.writeStartArray(value);
    }

    @Override
    public void writeStartArray(Object value, int size) throws IOException {
        inObject("an array");
        super.writeStartArray(value, size);
    }

    @Override
    public void writeArray(int[] array, int offset, int length) throws IOException {
        inObject("an array");
        super.writeArray(array, offset, length);
    }

    @Override
    public void writeArray(long[] array, int offset, int length) throws IOException {
        inObject("an array");
        super.writeArray(array, offset, length);
    }

    @Override
    public void writeArray(double[] array, int offset, int length) throws IOException {
        writeStartArray(array, length);
        for (int i = offset; i < offset + length; i++) {
            writeNumber(array[i]);
        }
        writeEndArray();
    }

    @Override
    public void writeFieldName(String name) throws IOException {
        Marshaller.checkSurrogates(container(), name);
        super.writeFieldName(name);
    }

    @Override
    public void writeFieldName(SerializableString name) throws IOException {
        Marshaller.checkSurrogates(container(), name.getValue());
        super.writeFieldName(name);
    }

    @Override
    public void writeString(String text) throws IOException {
        inObject("a string");
        if (text == null) {
            writeNull();
            return;
        }
        Marshaller.checkSurrogates(nextPlace(), text);
        super.writeString(text);
    }

    @Override
    public void writeString(char[] text, int offset, int length) throws IOException {
        writeString(new String(text, offset, length));
    }

    @Override
    public void writeString(SerializableString text) throws IOException {
        writeString(text.getValue());
    }

    @Override
    public void writeString(Reader reader, int length) throws IOException {
        StringBuilder text = new StringBuilder();
        char[] chunk = new char[8192];
        int wanted = length < 0 ? Integer.MAX_VALUE : length;
        while (text.length() < wanted) {
            int read = reader.read(chunk, 0, Math.min(chunk.length, wanted - text.length()));
            if (read < 0) {
                break;
            }
            text.append(chunk, 0, read);
        }
        writeString(text.toString());
    }

    @Override
    public void writeRawUTF8String(byte[] text, int offset, int length) throws IOException {
        raw = true;
        super.writeRawUTF8String(text, offset, length);
    }

    @Override
    public void writeUTF8String(byte[] text, int offset, int length) throws IOException {
        raw = true;
        super.writeUTF8String(text, offset, length);
    }

    @Override
    public void writeRaw(String text) throws IOException {
        raw = true;
        super.writeRaw(text);
    }

    @Override
    public void writeRaw(String text, int offset, int length) throws IOException {
        raw = true;
        super.writeRaw(text, offset, length);
    }

    @Override
    public void writeRaw(SerializableString text) throws IOException {
        raw = true;
        super.writeRaw(text);
    }

    @Override
    public void writeRaw(char[] text, int offset, int length) throws IOException {
        raw = true;
        super.writeRaw(text, offset, length);
    }

    @Override
    public void writeRaw(char c) throws IOException {
        raw = true;
        super.writeRaw(c);
    }

    @Override
    public void writeRawValue(String text) throws IOException {
        raw = true;
        super.writeRawValue(text);
    }

    @Override
    public void writeRawValue(String text, int offset, int length) throws IOException {
        raw = true;
        super.writeRawValue(text, offset, length);
    }

    @Override
    public void writeRawValue(SerializableString text) throws IOException {
        raw = true;
        super.writeRawValue(text);
    }

    @Override
    public void writeRawValue(char[] text, int offset, int length) throws IOException {
        raw = true;
        super.writeRawValue(text, offset, length);
    }

    @Override
    public void writeBinary(Base64Variant variant, byte[] bytes, int offset, int length) throws IOException {
        inObject("bytes");
        super.writeBinary(variant, bytes, offset, length);
    }

    @Override
    public int writeBinary(Base64Variant variant, InputStream bytes, int length) throws IOException {
        inObject("bytes");
        return super.writeBinary(variant, bytes, length);
    }

    @Override
    public void writeNumber(short number) throws IOException {
        inObject("a number");
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(int number) throws IOException {
        inObject("a number");
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(long number) throws IOException {
        inObject("a number");
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(BigInteger number) throws IOException {
        inObject("a number");
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(double number) throws IOException {
        inObject("a number");
        if (!Double.isFinite(number)) {
            throw Marshaller.invalid(nextPlace(), "must be a finite number, got " + number);
        }
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(float number) throws IOException {
        inObject("a number");
        if (!Float.isFinite(number)) {
            throw Marshaller.invalid(nextPlace(), "must be a finite number, got " + number);
        }
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(BigDecimal number) throws IOException {
        inObject("a number");
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(String number) throws IOException {
        raw = true;
        super.writeNumber(number);
    }

    @Override
    public void writeNumber(char[] number, int offset, int length) throws IOException {
        raw = true;
        super.writeNumber(number, offset, length);
    }

    @Override
    public void writeBoolean(boolean flag) throws IOException {
        inObject("a boolean");
        super.writeBoolean(flag);
    }

    @Override
    public void writeNull() throws IOException {
        inObject("null");
        super.writeNull();
    }

    /** Refuses a value at the root that is no object. */
    private void inObject(String found) {
        if (getOutputContext().inRoot()) {
            throw Marshaller.invalid(parameter, "must be a JSON object, got " + found);
        }
    }

    private String container() {
        return place(parameter, getOutputContext().getParent());
    }

    /** The place of the value about to be written: in an array the one after the last. */
    private String nextPlace() {
        JsonStreamContext context = getOutputContext();
        if (!context.inArray()) {
            return place(parameter, context);
        }
        // The context counts a value once it is written.
        return place(parameter, context.getParent()) + "[" + context.getEntryCount() + "]";
    }
}
