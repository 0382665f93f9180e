"""Page tables: the pages of each request, by which a launch finds the places of tokens in a cache itself."""

from typing import NamedTuple, Optional

import torch

# A letter for each field, by which torch.ops.ropejit.prologue knows it.
LETTERS = "pflrc"


class PageTable(NamedTuple):
    """`slots` of a Prologue, in place of a list. Token p of request r goes to place p % block_size of page p // block_size of
    r's. No tensor of it is copied, and none is waited for.

    pages: int32, [requests, entries] of any stride between requests (vLLM's block_table), or with first_entries [entries],
        all requests' one after another (FlashInfer's indices). A negative one is none, as is one beyond the cache.
    first_entries: int32 [requests + 1], where in pages each request's begin, and the last one's end (indptr).
    last_page_lengths: int32 [requests], how many places of a request's last page are its own (last_page_len); None: all.
    token_requests: int32 [tokens], the request of each token; a negative one is none: the token is not written to the cache.
        None: of the forms with cu_seqlens the sequence that a token is in, of others request 0.
    token_places: int32 or int64 [tokens], where each token stands in its request; negative: likewise. None: its position,
        on the first axis.
    """

    pages: torch.Tensor
    first_entries: Optional[torch.Tensor] = None
    last_page_lengths: Optional[torch.Tensor] = None
    token_requests: Optional[torch.Tensor] = None
    token_places: Optional[torch.Tensor] = None


def flat(operand):
    """The tensors of an operand of a Prologue, those of a page table among them."""
    return [tensor for entry in operand for tensor in (entry if isinstance(entry, PageTable) else (entry,))]
