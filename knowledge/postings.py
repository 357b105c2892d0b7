"""The words of a list of texts as numbers, and from them BM25 as postings: for each word, the texts that hold it and its weight there.

The numbers are kept with an index version, so that neither opening it nor changing a hundredth of it cuts texts into words again.
Scores are those of Lucene's BM25 (as in bm25s, Lù 2024, arXiv 2407.03618: everything but the sum is done beforehand).
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

K1, B = 0.9, 0.4
"""Of BM25: how soon a repeated word stops counting, and how much the length of a text matters."""


def flat_rows(offsets: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The places of the members of `rows` in a flat array, where those of row i are offsets[i] to offsets[i + 1]."""
    lengths = offsets[rows + 1] - offsets[rows]
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum()), dtype=np.intp) + np.repeat(offsets[rows] - starts, lengths)


class TokenTable:
    """Texts as tokens. `words` are those that occur, `ids` (total,) the tokens of all texts, those of text i from offsets[i] on."""

    def __init__(self, words: Sequence[str], ids: NDArray[np.int32], offsets: NDArray[np.intp]) -> None:
        self.words = list(words)
        self.ids = ids
        self.offsets = offsets

    @classmethod
    def of(cls, texts: Sequence[str], tokenize: Callable[[str], list[str]]) -> Self:
        """Cut texts into tokens."""
        numbers: dict[str, int] = {}
        ids: list[int] = []
        lengths = [0]
        for text in texts:
            tokens = tokenize(text)
            ids += [numbers.setdefault(token, len(numbers)) for token in tokens]
            lengths.append(len(tokens))
        return cls(list(numbers), np.array(ids, dtype=np.int32), np.cumsum(lengths).astype(np.intp))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def then(self, other: TokenTable) -> TokenTable:
        """Both one after the other."""
        numbers = {word: number for number, word in enumerate(self.words)}
        mapped = np.array([numbers.setdefault(word, len(numbers)) for word in other.words], dtype=np.int32)
        ids = np.concatenate([self.ids, mapped[other.ids]])
        return TokenTable(list(numbers), ids, np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]))

    def take(self, rows: NDArray[np.intp]) -> TokenTable:
        """The texts of `rows`, in their order, with the words that occur in them."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        used, ids = np.unique(self.ids[flat_rows(self.offsets, rows)], return_inverse=True)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
        return TokenTable([self.words[number] for number in used.tolist()], ids.astype(np.int32), offsets)

    def save(self, folder: Path, name: str) -> None:
        """Write NAME.npz and NAME.json, on disk before this returns."""
        with (folder / f"{name}.npz").open("wb") as file:
            np.savez(file, ids=self.ids, offsets=self.offsets)
            file.flush()
            os.fsync(file.fileno())
        with (folder / f"{name}.json").open("w", encoding="utf-8") as file:
            file.write(json.dumps(self.words, ensure_ascii=False))  # `dump` would go the slow way, piece by piece
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote. Raises OSError, ValueError or KeyError."""
        words = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        try:
            with (folder / f"{name}.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                table = cls(words, file["ids"], file["offsets"])
        except (EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{name}.npz is not whole") from error
        if len(table.ids) != table.offsets[-1] or (len(table.ids) and int(table.ids.max()) >= len(words)):
            raise ValueError(f"{name} is not whole")
        return table


class Postings:
    """BM25 weights by word. `rows` and `weights` (postings,) are those of word w from starts[w] on, rows ascending."""

    def __init__(self, tokens: TokenTable) -> None:
        self.size = len(tokens)
        self._words = tokens.words
        lengths = np.diff(tokens.offsets)
        owner = np.repeat(np.arange(self.size, dtype=np.int64), lengths)
        pairs, counts = np.unique(tokens.ids.astype(np.int64) * max(self.size, 1) + owner, return_counts=True)
        word, row = np.divmod(pairs, max(self.size, 1))
        self.starts = np.searchsorted(word, np.arange(len(self._words) + 1))
        self.rows = row.astype(np.int32)
        frequency = np.diff(self.starts)
        idf = np.log1p((self.size - frequency + 0.5) / (frequency + 0.5))
        norm = K1 * (1 - B + B * lengths / max(float(lengths.mean()) if self.size else 0.0, 1e-9))
        self.weights = (idf[word] * counts / (counts + norm[row])).astype(np.float32)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """From a word to its number."""
        return {word: number for number, word in enumerate(self._words)}

    def frequency(self, word: str) -> int:
        """How many texts hold the word."""
        number = self.numbers.get(word)
        return 0 if number is None else int(self.starts[number + 1] - self.starts[number])

    def scores(self, words: Sequence[str]) -> NDArray[np.float32]:
        """BM25 of every text for different words, shape (n,)."""
        found = np.zeros(self.size, dtype=np.float32)
        for number in self._known(words):
            own = slice(self.starts[number], self.starts[number + 1])
            found[self.rows[own]] += self.weights[own]  # a text stands once among the postings of a word
        return found

    def scores_of(self, words: Sequence[str], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """BM25 of some texts, shape (len(rows),): looked up, so that few texts of many cost little."""
        found = np.zeros(len(rows), dtype=np.float32)
        for number in self._known(words):
            start, end = self.starts[number], self.starts[number + 1]
            place = np.minimum(np.searchsorted(self.rows[start:end], rows), end - start - 1) + start
            found += np.where(self.rows[place] == rows, self.weights[place], 0).astype(np.float32)
        return found

    def _known(self, words: Sequence[str]) -> list[int]:
        return [self.numbers[word] for word in words if word in self.numbers]
