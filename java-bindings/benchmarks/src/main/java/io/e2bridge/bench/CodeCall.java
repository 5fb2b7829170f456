package io.e2bridge.bench;

import io.e2bridge.CodeResult;

/**
 * A run of code in a sandbox that lives on.
 *
 * @param context null: a run of its own
 */
record CodeCall(Client client, String sandbox, Snippet snippet, String context) implements Repeated.Call<CodeResult> {
    @Override
    public CodeResult make() {
        return client.e2b().runE2BCode(sandbox, snippet.language(), snippet.code(), context);
    }

    @Override
    public void check(CodeResult answer) {
        snippet.check(answer);
    }
}
