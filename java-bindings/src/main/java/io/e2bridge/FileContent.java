package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#readE2BFile}.
 *
 * @param json the document as it came
 */
public record FileContent(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public FileContent {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the sandbox it was read from} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return absolute path inside} */
    public String path() {
        return Fields.text(json, "path");
    }

    /** {@return the number of bytes} */
    public long size() {
        return Fields.whole(json, "size");
    }

    /** {@return the content; a new array on each call} */
    public byte[] content() {
        return Fields.exact(null, Fields.text(json, "content_base64"));
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }

    /** {@return the document without the content, which may be large} */
    @Override
    public String toString() {
        return "FileContent[sandbox_id=" + sandboxId() + ", path=" + path() + ", size=" + size() + "]";
    }
}
