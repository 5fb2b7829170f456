package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * A result document. The records that implement it hold the JSON document as it came, further keys included, and read it
 * through typed accessors; two are equal when their documents are.
 *
 * <p>A document belongs to the caller. Accessors may be used by any thread as long as nobody changes the tree.
 */
public interface E2BDocument {
    /** {@return the document as it came} */
    JsonNode json();
}
